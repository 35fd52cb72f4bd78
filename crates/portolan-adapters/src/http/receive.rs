//! A receive location: enters its listener and stays there until told to stop. Must never give up while
//! the port is taken: it says so and tries again.

use super::{
    check::ReceivePlan,
    listener::{Listeners, ProxyHandle, Route},
};
use async_trait::async_trait;
use portolan_model::{SmolStr, code};
use portolan_sdk::{AdapterError, Proxy, ReceiveAdapter, SourceNotice, Stop};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Semaphore, time::sleep};

/// Pause before a listener that cannot be opened is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Receives for one location.
#[derive(Debug)]
pub struct HttpReceiver {
    /// All listeners of the process.
    pub listeners: Arc<Listeners>,
    /// What to receive.
    pub plan: ReceivePlan,
    /// Name of the location.
    pub location: SmolStr,
}

#[async_trait]
impl ReceiveAdapter for HttpReceiver {
    async fn run(self: Box<Self>, proxy: Proxy, mut stop: Stop) -> Result<(), AdapterError> {
        let Self { listeners, plan, location } = *self;
        let permits = Arc::new(Semaphore::new(plan.settings.max_concurrent_requests as usize));
        let route = Arc::new(Route { location, plan, proxy: ProxyHandle(proxy.clone()), stop: stop.clone(), permits });
        let mut failing = false;
        while let Err(message) = listeners.enter(route.clone()).await {
            failing = true;
            proxy.notice(SourceNotice::Failing { code: code::LISTENER_FAILED, message });
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
                () = sleep(AGAIN) => {}
            }
        }
        let mut entered = Entered { listeners, route: Some(route) };
        if failing {
            proxy.notice(SourceNotice::Recovered);
        }
        // An error means that whoever could tell us to stop is gone: then it is time to stop.
        let _ = stop.wait_for(|stop| *stop).await;
        entered.leave().await;
        Ok(())
    }
}

/// Makes sure that the location leaves its listener even when its task is thrown away.
struct Entered {
    listeners: Arc<Listeners>,
    route: Option<Arc<Route>>,
}

impl Entered {
    async fn leave(&mut self) {
        if let Some(route) = &self.route {
            self.listeners.leave(route).await;
        }
        self.route = None;
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        if let (Some(route), Ok(runtime)) = (self.route.take(), tokio::runtime::Handle::try_current()) {
            let listeners = self.listeners.clone();
            runtime.spawn(async move { listeners.leave(&route).await });
        }
    }
}
