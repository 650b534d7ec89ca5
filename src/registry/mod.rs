//! The registry client: authentication, retries, resumed transfers.
