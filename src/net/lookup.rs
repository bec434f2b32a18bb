//! From names to addresses, without keeping the reactor.
//!
//! `getaddrinfo(3)` blocks for as long as a name server takes, and has no other form. So names are looked up on the
//! pool, as the closures of [`spawn_blocking`](crate::spawn_blocking) are; what is an address already never leaves the
//! thread.

use super::nothing;
use crate::{
    op::ending::or_end,
    rt::{self, JoinHandle},
};
use sealed::{Ask, Query};
use std::{
    borrow::Cow,
    io, mem,
    net::{IpAddr, SocketAddr, ToSocketAddrs as _},
    slice, vec,
};

/// What stands for addresses, or for a name that has some: `"example.org:80"`, `("::1", 80)`, a
/// [`SocketAddr`](std::net::SocketAddr) or a slice of them, and whatever else is a [`std::net::ToSocketAddrs`].
///
/// The standard library's trait looks names up as it is called, on the calling thread. So the types of texts are
/// recognised, also behind one or two references, and what they name is looked up on the pool. A type of somebody
/// else's is asked by that trait's method, on this thread: there it had better not look anything up.
pub trait ToSocketAddrs: Ask {}

impl<T: Ask + ?Sized> ToSocketAddrs for T {}

mod sealed {
    use std::{io, net::SocketAddr};

    /// What is to be found out.
    #[derive(Debug)]
    pub enum Query<'a> {
        /// Nothing: this is it.
        One(SocketAddr),
        /// Nothing: these are they.
        Many(Vec<SocketAddr>),
        /// The addresses of a host, and the port.
        Name(&'a str, u16),
    }

    pub trait Ask {
        fn query(&self) -> io::Result<Query<'_>>;
    }
}

/// Looks up the addresses of a host, on a thread of the pool; what is an address already is given back as it is.
///
/// ```
/// annulus::run(async {
///     let mut addrs = annulus::net::lookup_host("localhost:80").await?;
///     assert!(addrs.all(|addr| addr.ip().is_loopback() && addr.port() == 80));
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
///
/// # Errors
/// `InvalidInput` for a text that is no host and port; what the system's resolver says, with the host's name in front;
/// and that of a pool that has no thread for it.
///
/// # Panics
/// Outside a runtime, if there is something to look up.
///
/// # Cancellation
/// **Clean**: a lookup that waits for a thread is withdrawn; one that runs goes on, and nobody gets its result.
pub async fn lookup_host(host: impl ToSocketAddrs) -> io::Result<vec::IntoIter<SocketAddr>> {
    Ok(host.query()?.addresses().await?.into_owned().into_iter())
}

/// The addresses of `host`, as `getaddrinfo(3)` says: this thread waits.
fn system(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok((host, port).to_socket_addrs()?.collect())
}

impl<'a> Query<'a> {
    fn text(text: &'a str) -> io::Result<Query<'a>> {
        if let Ok(addr) = text.parse() {
            return Ok(Query::One(addr));
        }
        let invalid = || io::Error::new(io::ErrorKind::InvalidInput, format!("{text:?} is not of the form host:port"));
        let (host, port) = text.rsplit_once(':').ok_or_else(invalid)?;
        Ok(Query::name(host, port.parse().map_err(|_| invalid())?))
    }

    fn name(host: &'a str, port: u16) -> Query<'a> {
        host.parse().map_or(Query::Name(host, port), |ip: IpAddr| Query::One((ip, port).into()))
    }

    /// The addresses; only a name takes its time.
    pub(super) async fn addresses(&self) -> io::Result<Cow<'_, [SocketAddr]>> {
        match self {
            Query::One(addr) => Ok(slice::from_ref(addr).into()),
            Query::Many(addrs) => Ok(addrs.into()),
            Query::Name(host, port) => look_up(host, *port, system).await.map(Cow::from),
        }
    }
}

/// A lookup; dropped, it is not begun any more.
struct Lookup(JoinHandle<io::Result<Vec<SocketAddr>>>);

impl Drop for Lookup {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Has the pool call `resolve`.
async fn look_up<F>(host: &str, port: u16, resolve: F) -> io::Result<Vec<SocketAddr>>
where
    F: FnOnce(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + 'static,
{
    let name = host.to_owned();
    let mut lookup = Lookup(rt::spawn_aside(move || resolve(&name, port)));
    let found = or_end(&mut lookup.0).await.and_then(|answer| answer.map_err(io::Error::from)?);
    let found = found.and_then(|addrs| if addrs.is_empty() { Err(nothing()) } else { Ok(addrs) });
    found.map_err(|error| io::Error::new(error.kind(), format!("looking up {host:?}: {error}")))
}

impl<T: std::net::ToSocketAddrs + ?Sized> Ask for T {
    fn query(&self) -> io::Result<Query<'_>> {
        if let Some(text) = text(self) {
            return Query::text(text);
        }
        if let Some((host, port)) = host(self) {
            return Ok(Query::name(host, port));
        }
        let mut addrs = self.to_socket_addrs()?;
        match (addrs.next(), addrs.next()) {
            (Some(one), None) => Ok(Query::One(one)),
            (first, second) => Ok(Query::Many(first.into_iter().chain(second).chain(addrs).collect())),
        }
    }
}

/// Returns what is to be said of the first type that `T` is, whatever its lifetimes.
macro_rules! recognise {
    ($addr:ident: $t:ident, $($as:ident: $ty:ty => $say:expr,)*) => {$(
        if typeid::of::<$t>() == typeid::of::<$ty>() {
            // SAFETY: Typed: the types differ in lifetimes alone, and those of `T` are no shorter than its borrow's.
            let $as: &'a $ty = unsafe { mem::transmute_copy::<&'a $t, &'a $ty>(&$addr) };
            return Some($say);
        }
    )*};
}

/// The text of a host and a port.
fn text<'a, T: ?Sized>(addr: &'a T) -> Option<&'a str> {
    recognise! {
        addr: T,
        text: str => text,
        text: String => text,
        text: &'a str => text,
        text: &'a String => text,
        text: &'a &'a str => text,
        text: &'a &'a String => text,
        text: &'a &'a &'a str => text,
    }
    None
}

/// A host and a port.
fn host<'a, T: ?Sized>(addr: &'a T) -> Option<(&'a str, u16)> {
    recognise! {
        addr: T,
        pair: (&'a str, u16) => *pair,
        pair: (String, u16) => (&pair.0, pair.1),
        pair: &'a (&'a str, u16) => **pair,
        pair: &'a (String, u16) => (&pair.0, pair.1),
        pair: &'a &'a (&'a str, u16) => ***pair,
        pair: &'a &'a (String, u16) => (&pair.0, pair.1),
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::TcpStream;
    use std::{
        net::{Ipv4Addr, Ipv6Addr},
        sync::mpsc::{self, TryRecvError},
        time::Duration,
    };

    const V4: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 80);
    const V6: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 80);

    async fn all(host: impl ToSocketAddrs) -> Vec<SocketAddr> {
        lookup_host(host).await.unwrap().collect()
    }

    /// How often the pool was asked, which makes its first thread at the first time.
    fn asked() -> u64 {
        crate::metrics().blocking_jobs
    }

    #[crate::test]
    async fn an_address_needs_no_thread() {
        let (SocketAddr::V4(v4), SocketAddr::V6(v6)) = (V4, V6) else { panic!("the constants have changed") };
        let owned = (all("127.0.0.1:80".to_owned()).await, all(("::1".to_owned(), 80)).await);
        assert_eq!(owned, (vec![V4], vec![V6]));
        assert_eq!((all("[::1]:80").await, all(&"127.0.0.1:80").await), (vec![V6], vec![V4]));
        assert_eq!((all(("127.0.0.1", 80)).await, all(("::1", 80)).await), (vec![V4], vec![V6]));
        assert_eq!(all("::1:80").await, [V6], "brackets are left out by many");
        assert_eq!((all(V4).await, all(v4).await, all(&v6).await), (vec![V4], vec![V4], vec![V6]));
        assert_eq!((all((V4.ip(), 80)).await, all((*v4.ip(), 80)).await), (vec![V4], vec![V4]));
        assert_eq!((all((*v6.ip(), 80)).await, all(&[V6, V4][..]).await), (vec![V6], vec![V6, V4]));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        TcpStream::connect(listener.local_addr().unwrap().to_string()).await.unwrap();
        // A ring that cannot close has its closes done by the pool.
        let threads = crate::metrics().pool.threads as u64;
        assert_eq!((asked(), threads.saturating_sub(crate::metrics().driver.twins_pool)), (0, 0));
    }

    #[crate::test]
    async fn a_name_is_looked_up_on_the_pool() {
        let addrs = all("localhost:80").await;
        assert!(!addrs.is_empty() && addrs.iter().all(|addr| addr.ip().is_loopback() && addr.port() == 80));
        assert_eq!(asked(), 1);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let stream = TcpStream::connect(("localhost", port)).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), listener.local_addr().unwrap(), "::1 refused, 127.0.0.1 did not");
        assert_eq!(asked(), 2);
    }

    /// Red when a type of a text is not recognised: then this thread looks the name up, and the pool is not asked.
    #[crate::test]
    async fn a_text_is_recognised_behind_references() {
        async fn generic<T: std::net::ToSocketAddrs>(host: T) {
            let before = asked();
            assert!(all(host).await.iter().all(|addr| addr.port() == 80));
            assert_eq!(asked() - before, 1, "{}", std::any::type_name::<T>());
        }
        let (text, pair) = ("localhost:80".to_owned(), ("localhost".to_owned(), 80));
        let (short, part) = (&text[..], (&pair.0[..], 80));
        generic(text.clone()).await;
        generic(short).await;
        generic(&text).await;
        generic(&short).await;
        generic(&&text).await;
        generic(&&short).await;
        generic(pair.clone()).await;
        generic(part).await;
        generic(&pair).await;
        generic(&part).await;
        generic(&&pair).await;
        generic(&&part).await;
    }

    /// Red when the trait of somebody else's type is not asked, or asked for something else.
    #[crate::test]
    async fn a_type_of_somebody_else_is_asked_by_its_own_trait() {
        struct Both;
        impl std::net::ToSocketAddrs for Both {
            type Iter = std::array::IntoIter<SocketAddr, 2>;

            fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
                Ok([V6, V4].into_iter())
            }
        }
        assert_eq!((all(Both).await, all(&Both).await, asked()), (vec![V6, V4], vec![V6, V4], 0));
        assert_eq!((all(&[][..]).await, all(&[V4][..]).await), (vec![], vec![V4]));
    }

    #[crate::test]
    async fn the_reactor_goes_on_while_a_lookup_is_stuck() {
        let (release, stuck) = mpsc::channel::<()>();
        let lookup = rt::spawn(look_up("slow.example", 80, move |_, _| {
            assert_eq!(stuck.recv_timeout(Duration::from_secs(60)), Ok(()), "nobody else ran meanwhile");
            Ok(vec![V4])
        }));
        let (client, server) = (TcpStream::connect_addr, std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        for _ in 0..10 {
            client(server.local_addr().unwrap()).await.unwrap();
            crate::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(!lookup.is_finished());
        release.send(()).unwrap();
        assert_eq!(lookup.await.unwrap().unwrap(), [V4]);
    }

    #[crate::test]
    async fn an_error_names_the_host() {
        for (wrong, kind) in [("no-port", io::ErrorKind::InvalidInput), ("host:port", io::ErrorKind::InvalidInput)] {
            let error = lookup_host(wrong).await.unwrap_err();
            assert!(error.kind() == kind && error.to_string().contains(wrong), "{error}");
        }
        assert_eq!(asked(), 0);
        let error = lookup_host(("a\0b", 80)).await.unwrap_err();
        assert!(error.kind() == io::ErrorKind::InvalidInput && error.to_string().contains(r#""a\0b""#), "{error}");
        let error = TcpStream::connect("a\0b:80").await.unwrap_err();
        assert!(error.to_string().contains(r#""a\0b""#), "{error}");
        let refused = look_up("down.example", 1, |_, _| Err(io::ErrorKind::TimedOut.into())).await.unwrap_err();
        assert!(refused.kind() == io::ErrorKind::TimedOut && refused.to_string().contains("\"down.example\""));
        let empty = look_up("empty.example", 1, |_, _| Ok(Vec::new())).await.unwrap_err();
        assert!(empty.kind() == io::ErrorKind::InvalidInput && empty.to_string().contains("\"empty.example\""));
    }

    /// One thread, which the first lookup holds: the second is dropped while it waits, and never begins.
    #[test]
    fn a_dropped_lookup_is_not_begun() {
        let runtime = crate::Builder::new().max_blocking_threads(1).build().unwrap();
        let (release, stuck) = mpsc::channel::<()>();
        let (begun, seen) = mpsc::channel();
        runtime.block_on(async {
            let first = rt::spawn(look_up("first.example", 1, move |_, _| {
                let _ = stuck.recv_timeout(Duration::from_secs(60));
                Ok(vec![V4])
            }));
            rt::yield_now().await;
            let mut second = Box::pin(look_up("second.example", 1, move |_, _| {
                begun.send(()).unwrap();
                Ok(vec![V4])
            }));
            crate::testing::poll_once(&mut second).await;
            drop(second);
            rt::yield_now().await;
            release.send(()).unwrap();
            assert_eq!(first.await.unwrap().unwrap(), [V4]);
            rt::spawn_blocking(|| {}).await.expect("its turn comes after the second's");
        });
        assert_eq!(seen.try_recv(), Err(TryRecvError::Disconnected));
    }
}
