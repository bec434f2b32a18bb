//! What the servers among the examples have in common: connections up to a limit, and an end that is asked for.

use annulus::{
    io::AsyncReadRent,
    io::AsyncWriteRent,
    net::{TcpListener, TcpStream},
    select,
    signal::{SignalKind, signal},
    sync::{CancellationToken, Semaphore},
    task::JoinSet,
    time::{sleep, timeout},
};
use std::{io, net::SocketAddr, rc::Rc, time::Duration};

/// How long to wait when no descriptor is left for a connection.
const PAUSE: Duration = Duration::from_millis(100);

/// A token that SIGINT and SIGTERM cancel. Both are heard from now on.
pub(crate) fn stop_on_signal() -> io::Result<CancellationToken> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stop = CancellationToken::new();
    let token = stop.clone();
    annulus::spawn(async move {
        select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        token.cancel();
    });
    Ok(stop)
}

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

/// Ends a connection after an answer to what was not read to its end: a close would reset it, and the peer might not
/// see the answer. So what still comes is read, for a moment.
pub(crate) async fn close_after_answer(mut stream: TcpStream) {
    let _ = stream.shutdown().await;
    let rest = async {
        let (mut buf, mut res) = (Vec::with_capacity(16 * 1024), Ok(1));
        while res.is_ok_and(|n| n > 0) {
            (res, buf) = stream.read(buf).await;
        }
    };
    let _ = timeout(Duration::from_secs(1), rest).await;
}
