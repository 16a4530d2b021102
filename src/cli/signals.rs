//! Signals: who can save its state is asked to, who cannot is ended at once.

#[cfg(unix)]
pub use unix::listen;

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

/// The first signal that came, 0 for none.
static CAME: AtomicI32 = AtomicI32::new(0);

/// Whether somebody looks for signals who will save the state.
static AWAITED: AtomicBool = AtomicBool::new(false);

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Save, and end as stopped by this signal.
    End(i32),
    /// Save, and say that the command should be run again.
    Again,
}

/// The request of the first signal that came.
///
/// Who asks promises to stop soon with its state saved: from the first call on, a first signal no longer ends the
/// process. The second always does.
pub fn requested() -> Option<Request> {
    AWAITED.store(true, Ordering::Relaxed);
    match CAME.load(Ordering::Relaxed) {
        0 => None,
        #[cfg(unix)]
        signal_hook::consts::SIGUSR1 => Some(Request::Again),
        signal => Some(Request::End(signal)),
    }
}

/// Systems without these signals end the process by themselves.
#[cfg(not(unix))]
pub fn listen() -> crate::Result<()> {
    Ok(())
}

#[cfg(unix)]
mod unix {
    use super::{AWAITED, CAME, Ordering};
    use crate::cli::output::log;
    use crate::{Error, Result};
    use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
    use signal_hook::iterator::Signals;

    /// Starts to listen.
    ///
    /// # Errors
    /// [`Error::Failed`] if the system refuses.
    pub fn listen() -> Result<()> {
        let refused = |error| Error::Failed(format!("cannot listen to signals: {error}"));
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGUSR1]).map_err(refused)?;
        let listener = std::thread::Builder::new().name("signals".into());
        listener.spawn(move || signals.forever().for_each(receive)).map(drop).map_err(refused)
    }

    fn receive(signal: i32) {
        let first = CAME.compare_exchange(0, signal, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        let why = match (first, AWAITED.load(Ordering::Relaxed)) {
            (true, true) => return,
            (true, false) => "nothing was under way that had to be saved",
            (false, _) => "left at once, what was stored before is kept",
        };
        let error = match signal {
            SIGUSR1 => Error::Again(format!("stopped by SIGUSR1; {why}; run the same command again")),
            _ => Error::Interrupted { signal, saved: why.into() },
        };
        log(&format!("error: {error}"));
        std::process::exit(error.exit_code().into());
    }
}
