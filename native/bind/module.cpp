#include <nanobind/nanobind.h>

namespace ceiba::bind {
void bind_tree(nanobind::module_& m);
void bind_layers(nanobind::module_& m);
void bind_search(nanobind::module_& m);
}  // namespace ceiba::bind

#define CEIBA_DEFINE_MODULE(name, m) NB_MODULE(name, m)

CEIBA_DEFINE_MODULE(CEIBA_MODULE, m) {
    nanobind::set_leak_warnings(false);  // a model that a script still holds when it ends is no leak
    m.doc() = "Ceiba's core: label embeddings, clustering, solvers and search. Private; see the Python packages.";
    ceiba::bind::bind_tree(m);
    ceiba::bind::bind_layers(m);
    ceiba::bind::bind_search(m);
}
