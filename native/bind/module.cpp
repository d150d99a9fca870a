#include "bind/arrays.hpp"

namespace ceiba::bind {
void bind_tree(nanobind::module_& m);
void bind_layers(nanobind::module_& m);
void bind_search(nanobind::module_& m);
void bind_text(nanobind::module_& m);
void bind_index(nanobind::module_& m);
void bind_fusion(nanobind::module_& m);
}  // namespace ceiba::bind

#define CEIBA_DEFINE_MODULE(name, m) NB_MODULE(name, m)

CEIBA_DEFINE_MODULE(CEIBA_MODULE, m) {
    using namespace nanobind::literals;
    nanobind::set_leak_warnings(false);  // a model that a script still holds when it ends is no leak
    m.doc() = "Ceiba's core: label embeddings, clustering, solvers and search. Private; see the Python packages.";
    m.def("is_canonical", &ceiba::bind::is_canonical, "indptr"_a.noconvert(), "indices"_a.noconvert(),
          "data"_a.noconvert(), "cols"_a, "largest"_a);
    ceiba::bind::bind_tree(m);
    ceiba::bind::bind_layers(m);
    ceiba::bind::bind_search(m);
    ceiba::bind::bind_text(m);
    ceiba::bind::bind_index(m);
    ceiba::bind::bind_fusion(m);
}
