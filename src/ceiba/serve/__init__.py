"""The HTTP service: fitted models behind an API, with a page; needs the extra ceiba[serve]."""
