//! Taking locks, and what a panic under one means.
//!
//! The one policy for all locks of the server: no step under a lock leaves what it guards half
//! changed, so whoever finds a lock poisoned goes on with it. A panic ends the request or the
//! connection that met it and nobody else; see `app::chain` and `shard`.

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Takes a lock, also after somebody panicked with it.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes a lock to read, also after somebody panicked with it.
pub fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

/// Takes a lock to write, also after somebody panicked with it.
pub fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    #[allow(clippy::panic)]
    fn a_panic_with_a_lock_keeps_nobody_out() {
        let (mutex, shared) = (Mutex::new(1), RwLock::new(2));
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _guards = (lock(&mutex), write(&shared));
            panic!("on purpose");
        }));
        assert!(panicked.is_err() && mutex.is_poisoned() && shared.is_poisoned());
        assert_eq!(*lock(&mutex), 1);
        assert_eq!(*read(&shared), 2);
        assert_eq!(*write(&shared), 2);
    }
}
