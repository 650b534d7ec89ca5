//! Tasks that run beside each other.

use tokio::task::JoinError;

/// A task's result; a task's panic is this task's. For tasks that nobody aborts while they are waited for.
pub(super) fn joined<T>(result: Result<T, JoinError>) -> T {
    result.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}
