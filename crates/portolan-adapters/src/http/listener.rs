//! Shared listeners: one socket for all enabled locations of an address, opened by the first and closed
//! with the last. Must never hold a lock while a request is worked on, and never drop a message that
//! is being committed.

use super::{check::ReceivePlan, connection, inbound::Budget, tls::LiveConfig};
use portolan_model::{SmolStr, code};
use portolan_sdk::{Proxy, SourceNotice, Stop};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tokio::{
    net::TcpListener,
    sync::{Mutex, Semaphore, oneshot, watch},
    task::{JoinHandle, JoinSet},
};

/// Connections one listener serves at once; further ones wait in the system's queue.
const MAX_CONNECTIONS: usize = 2048;

/// How long connections may take to deliver their last answers when a listener closes.
const CLOSING: Duration = Duration::from_secs(5);

/// One enabled location as its listener sees it.
#[derive(Debug)]
pub struct Route {
    /// The receive location, for logs and conflicts.
    pub location: SmolStr,
    /// Its settings.
    pub plan: ReceivePlan,
    /// The engine.
    pub proxy: ProxyHandle,
    /// Becomes true when the location stops.
    pub stop: Stop,
    /// One permit for each request that may wait for the MessageBox; closed at the end.
    pub permits: Arc<Semaphore>,
}

/// A [`Proxy`] that can be shown in logs (as nothing).
#[derive(Clone)]
pub struct ProxyHandle(pub Proxy);

impl std::fmt::Debug for ProxyHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Proxy")
    }
}

/// What a path leads to.
#[derive(Debug)]
pub enum Found {
    /// An enabled location.
    Live(Arc<Route>),
    /// A location that was enabled since the listener opened and is not now.
    Gone,
    /// Nothing.
    Unknown,
}

/// What connections of one listener share.
#[derive(Debug)]
pub struct Shared {
    /// Where it listens.
    pub address: SocketAddr,
    /// Memory for bodies.
    pub budget: Budget,
    /// Certificates.
    pub tls: Option<LiveConfig>,
    routes: RwLock<Routes>,
}

#[derive(Debug, Default)]
struct Routes {
    live: BTreeMap<String, Arc<Route>>,
    gone: BTreeSet<String>,
}

impl Shared {
    /// What `path` leads to.
    #[must_use]
    pub fn find(&self, path: &str) -> Found {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        match routes.live.get(path) {
            Some(route) => Found::Live(route.clone()),
            None if routes.gone.contains(path) => Found::Gone,
            None => Found::Unknown,
        }
    }

    fn add(&self, route: Arc<Route>) -> Result<(), String> {
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        let path = route.plan.settings.path.clone();
        if let Some(other) = routes.live.get(&path) {
            return Err(format!("the receive location \"{}\" has the path {path} of the listener {}", other.location, self.address));
        }
        routes.gone.remove(&path);
        routes.live.insert(path, route);
        Ok(())
    }

    /// Takes a location away; true when it was the last one. Another location that has the path by now
    /// stays.
    fn remove(&self, route: &Route) -> bool {
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        let path = &route.plan.settings.path;
        if !routes.live.get(path).is_some_and(|live| std::ptr::eq(Arc::as_ptr(live), route)) {
            return false;
        }
        routes.live.remove(path);
        routes.gone.insert(path.clone());
        routes.live.is_empty()
    }

    /// Tells the operators of all locations.
    fn notice(&self, notice: &SourceNotice) {
        let routes: Vec<_> = self.routes.read().unwrap_or_else(PoisonError::into_inner).live.values().cloned().collect();
        for route in routes {
            route.proxy.0.notice(notice.clone());
        }
    }
}

#[derive(Debug)]
struct Open {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    /// Answers when the listening socket is closed.
    closed: oneshot::Receiver<()>,
    /// Told when no request waits for a commit any more.
    drained: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// All listeners of the process.
#[derive(Debug, Default)]
pub struct Listeners {
    table: Mutex<BTreeMap<SocketAddr, Open>>,
}

impl Listeners {
    /// Makes a location reachable; opens its listener if nobody has.
    ///
    /// # Errors
    /// Why not, in words: the port is in use, the path is taken, the TLS settings differ.
    pub async fn enter(&self, route: Arc<Route>) -> Result<(), String> {
        let mut table = self.table.lock().await;
        let address = route.plan.address;
        if let Some(open) = table.get(&address) {
            if open.shared.tls.as_ref().map(LiveConfig::files) != route.plan.tls.as_ref() {
                return Err(format!("the listener {address} is open with other `tls` settings; all its locations must have the same"));
            }
            return open.shared.add(route);
        }
        let tls = route.plan.tls.clone().map(LiveConfig::new).transpose()?;
        let socket = TcpListener::bind(address).await.map_err(|e| format!("cannot listen on {address}: {e}"))?;
        let shared = Arc::new(Shared { address, budget: Budget::default(), tls, routes: RwLock::default() });
        shared.add(route)?;
        let accepting = shared.clone();
        let (stop, stopping) = watch::channel(false);
        let (closing, closed) = oneshot::channel();
        let (drained, draining) = oneshot::channel();
        let task = tokio::spawn(async move {
            let connections = accept(socket, &accepting, stopping).await;
            let _ = closing.send(());
            finish(connections, draining).await;
        });
        table.insert(address, Open { shared, stop, closed, drained, task });
        Ok(())
    }

    /// Takes a location away and waits until its last request is answered; closes the listener with its
    /// last location.
    pub async fn leave(&self, route: &Route) {
        let last = {
            let mut table = self.table.lock().await;
            let emptied = table.get(&route.plan.address).is_some_and(|open| open.shared.remove(route));
            match if emptied { table.remove(&route.plan.address) } else { None } {
                Some(mut open) => {
                    open.stop.send_replace(true);
                    // Under the lock: who comes next must find the port free.
                    let _ = (&mut open.closed).await;
                    Some(open)
                }
                None => None,
            }
        };
        // All permits together: no request of this location is waiting for a commit any more.
        let _ = route.permits.acquire_many(route.plan.settings.max_concurrent_requests).await;
        route.permits.close();
        if let Some(open) = last {
            let _ = open.drained.send(());
            let _ = open.task.await;
        }
    }
}

/// Accepts connections until told to stop; the socket is closed then.
async fn accept(socket: TcpListener, shared: &Arc<Shared>, stop: watch::Receiver<bool>) -> JoinSet<()> {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    let mut failing = false;
    let mut stopping = stop.clone();
    loop {
        let next = async { (slots.clone().acquire_owned().await, socket.accept().await) };
        let (slot, accepted) = tokio::select! {
            biased;
            _ = stopping.wait_for(|stop| *stop) => return connections,
            Some(_) = connections.join_next() => continue,
            next = next => next,
        };
        match accepted {
            Ok((stream, peer)) => {
                if std::mem::take(&mut failing) {
                    shared.notice(&SourceNotice::Recovered);
                }
                let (shared, stop) = (shared.clone(), stop.clone());
                connections.spawn(async move {
                    connection::serve(stream, peer, shared, stop).await;
                    drop(slot);
                });
            }
            // The client gave up before we came to it: nothing is wrong with us.
            Err(e) if matches!(e.kind(), std::io::ErrorKind::ConnectionAborted | std::io::ErrorKind::ConnectionReset) => {}
            Err(e) => {
                // Usually "too many open files"; without a pause this would spin.
                failing = true;
                let message = format!("the listener {} cannot accept connections: {e}", shared.address);
                shared.notice(&SourceNotice::Failing { code: code::LISTENER_FAILED, message });
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

/// Lets connections finish: as long as a request waits for its commit, and a moment more.
async fn finish(mut connections: JoinSet<()>, drained: oneshot::Receiver<()>) {
    let all = async { while connections.join_next().await.is_some() {} };
    let enough = async {
        let _ = drained.await;
        tokio::time::sleep(CLOSING).await;
    };
    tokio::select! {
        () = all => {}
        () = enough => {}
    }
    connections.shutdown().await;
}
