//! What the servers among the examples have in common: connections up to a limit, and time for them to end.

use annulus::{
    net::{TcpListener, TcpStream},
    sync::{CancellationToken, Semaphore},
    task::JoinSet,
    time::{sleep, timeout},
};
use std::{net::SocketAddr, rc::Rc, time::Duration};

/// How long to wait when no descriptor is left for a connection.
const PAUSE: Duration = Duration::from_millis(100);

/// Gives each connection to `handler`, at most `most` at a time: further ones wait to be accepted. When `stop` is
/// cancelled, no more are taken, and those that are there have `grace` to end. Gives how many were cut off then.
pub(crate) async fn serve<F: Future<Output = ()> + 'static>(
    listener: TcpListener,
    most: usize,
    stop: &CancellationToken,
    grace: Duration,
    mut handler: impl FnMut(TcpStream, SocketAddr) -> F,
) -> usize {
    let (slots, mut connections) = (Rc::new(Semaphore::new(most)), JoinSet::new());
    while let Some(Ok(slot)) = stop.run_until_cancelled(slots.clone().acquire_owned()).await {
        let Some(accepted) = stop.run_until_cancelled(listener.accept()).await else { break };
        match accepted {
            Ok((stream, peer)) => {
                let served = handler(stream, peer);
                connections.spawn(async move {
                    served.await;
                    drop(slot);
                });
            }
            // The peer has gone already, or there are too many descriptors; the listener is none the worse.
            Err(error) => {
                eprintln!("accept: {error}");
                stop.run_until_cancelled(sleep(PAUSE)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    let drained = timeout(grace, async { while connections.join_next().await.is_some() {} }).await;
    let cut = connections.len();
    if drained.is_err() {
        connections.shutdown().await;
    }
    cut
}
