//! Echoes on all cores: `shards [ADDRESS]`, 127.0.0.1:50003 without one. Each shard listens at the same port, and every
//! third connection goes on at the next shard. What comes is received into buffers that the connections of a shard
//! share, and sent back from them. The end of the standard input ends it, with what each has done.

use annulus::{
    io::AsyncWriteRentExt,
    net::{Detached, TcpListener, TcpStream},
    pool::RecvPool,
    shard::{Peers, Shard},
};
use std::{
    cell::Cell,
    io::{self, Read},
    rc::Rc,
};

/// What one shard has done.
#[derive(Default)]
struct Done {
    accepted: Cell<u64>,
    handed_on: Cell<u64>,
    requests: Cell<u64>,
}

fn count(counter: &Cell<u64>) -> u64 {
    counter.set(counter.get() + 1);
    counter.get()
}

#[annulus::main(shards = "cores")]
async fn main(mut shard: Shard<Detached>) -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:50003".into());
    // Ports are shared by default (`SO_REUSEPORT`): the kernel deals the connections out.
    let listener = TcpListener::bind(address).inspect_err(|_| shard.token().request())?;
    if shard.index() == 0 {
        println!("listening on {} with {} shards on {}", listener.local_addr()?, shard.count(), annulus::driver());
        let token = shard.token();
        annulus::spawn(async move {
            let _ = annulus::spawn_blocking(|| io::stdin().read_to_end(&mut Vec::new())).await;
            token.request();
        });
    }
    let pool = RecvPool::new(256, 8 * 1024).inspect_err(|_| shard.token().request())?;
    let (done, next) = (Rc::new(Done::default()), (shard.index() + 1) % shard.count());
    annulus::spawn(accept(listener, shard.peers().clone(), next, pool.clone(), done.clone()));
    while let Some(connection) = shard.recv().await {
        annulus::spawn(echo(connection.attach(), pool.clone(), done.clone()));
    }
    let (index, accepted, handed_on) = (shard.index(), done.accepted.get(), done.handed_on.get());
    println!("shard {index}: accepted {accepted}, handed on {handed_on}, requests {}", done.requests.get());
    Ok(())
}

async fn accept(
    listener: TcpListener,
    peers: Peers<Detached>,
    next: usize,
    pool: RecvPool,
    done: Rc<Done>,
) -> io::Result<()> {
    let mut incoming = listener.incoming();
    while let Some(accepted) = incoming.next().await {
        // A connection that was given up before it was accepted is no matter; more come after it.
        let Ok(stream) = accepted else { continue };
        if count(&done.accepted) % 3 > 0 {
            annulus::spawn(echo(stream, pool.clone(), done.clone()));
        } else if let Ok(connection) = stream.detach() {
            count(&done.handed_on);
            let _ = peers.send(next, connection).await;
        }
    }
    Ok(())
}

async fn echo(mut stream: TcpStream, pool: RecvPool, done: Rc<Done>) -> io::Result<()> {
    let mut received = stream.recv_stream(&pool);
    while let Some(buf) = received.next().await {
        count(&done.requests);
        stream.write_all(buf?).await.0?;
    }
    Ok(())
}
