//! The helms that charts are rendered with in tests: helm 3, and helm 4 too where it is here.

use std::path::PathBuf;

/// What `CARRACK_HELM` and `CARRACK_HELM4` name, else the `helm` on the path; none is a skip, or a failure.
pub(crate) fn helms(test: &str) -> Vec<PathBuf> {
    let named = ["CARRACK_HELM", "CARRACK_HELM4"].into_iter().filter_map(std::env::var_os);
    let mut found: Vec<PathBuf> = named.filter(|path| !path.is_empty()).map(PathBuf::from).collect();
    if found.is_empty() {
        let path = std::env::var_os("PATH").unwrap_or_default();
        found.extend(std::env::split_paths(&path).map(|folder| folder.join("helm")).find(|file| file.is_file()));
    }
    if found.is_empty() {
        super::available::skip(&format!("{test}: needs helm"));
    }
    found
}
