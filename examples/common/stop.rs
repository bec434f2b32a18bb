//! An end that is asked for by a signal.

use annulus::{
    select,
    shard::Shard,
    signal::{SignalKind, signal},
    sync::CancellationToken,
};
use std::io;

/// A token that is cancelled when the shards are asked to end, which SIGINT and SIGTERM do from now on.
///
/// One shard hears the signals for all: another may not be there yet when one comes.
pub(crate) fn on_signal(shard: &Shard) -> io::Result<CancellationToken> {
    let (all, stop) = (shard.token(), CancellationToken::new());
    if shard.index() == 0 {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let all = all.clone();
        annulus::spawn(async move {
            select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            all.request();
        });
    }
    let token = stop.clone();
    annulus::spawn(async move {
        all.requested().await;
        token.cancel();
    });
    Ok(stop)
}
