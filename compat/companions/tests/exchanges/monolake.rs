//! monolake-core: threads with a runtime each, which are told what to serve.

use crate::{bytes, exchange};
use monoio::{
    io::{AsyncReadRentExt, AsyncWriteRentExt},
    net::UnixStream,
    utils::is_legacy,
};
use monolake_core::{
    config::{RuntimeConfig, RuntimeType},
    listener::{AcceptedAddr, AcceptedStream, ListenerBuilder},
    orchestrator::{ServiceCommand, WorkerManager},
};
use service_async::{AsyncMakeService, Service};
use std::{convert::Infallible, io, process, sync::Arc, thread};

/// Gives 1000 bytes back, on the driver that it was made for.
#[derive(Clone)]
struct Echo(RuntimeType);

impl AsyncMakeService for Echo {
    type Service = Echo;
    type Error = Infallible;

    async fn make_via_ref(&self, _old: Option<&Echo>) -> Result<Echo, Infallible> {
        Ok(self.clone())
    }
}

impl Service<(AcceptedStream, AcceptedAddr)> for Echo {
    type Response = ();
    type Error = io::Error;

    async fn call(&self, (mut stream, _): (AcceptedStream, AcceptedAddr)) -> io::Result<()> {
        assert_eq!(is_legacy(), self.0 == RuntimeType::Legacy);
        let (read, body) = stream.read_exact(vec![0; 1000]).await;
        read?;
        stream.write_all(body).await.0.map(drop)
    }
}

/// Red when a worker does not hear another thread, or does not end.
#[monoio::test_all]
async fn workers_serve() {
    exchange(async {
        let runtime_type = if is_legacy() { RuntimeType::Legacy } else { RuntimeType::IoUring };
        let mut workers = WorkerManager::new(RuntimeConfig {
            worker_threads: 2,
            entries: 256,
            sqpoll_idle: Some(1000),
            runtime_type,
            cpu_affinity: true,
            thread_pool: Some(1),
        });
        let threads = workers.spawn_workers_async();
        let path = std::env::temp_dir().join(format!("monolake-{}-{:?}", process::id(), thread::current().id()));
        let (name, listener) = (Arc::new("echo".to_owned()), Arc::new(ListenerBuilder::bind_unix(&path).unwrap()));
        let deploy = ServiceCommand::PrepareAndCommit(name.clone(), Echo(runtime_type), listener);
        workers.dispatch_service_command(deploy).await.err().unwrap();
        for _ in 0..4 {
            let mut stream = UnixStream::connect(&path).await.unwrap();
            stream.write_all(bytes(1000)).await.0.unwrap();
            assert_eq!(stream.read_exact(vec![0; 1000]).await.1, bytes(1000));
        }
        workers.dispatch_service_command(ServiceCommand::Remove(name)).await.err().unwrap();
        drop(workers);
        for (thread, _stop) in threads {
            monoio::spawn_blocking(|| thread.join().unwrap()).await.unwrap();
        }
        std::fs::remove_file(path).unwrap();
    })
    .await;
}
