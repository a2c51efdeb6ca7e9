//! The API server: listener, authentication, commit loop.
