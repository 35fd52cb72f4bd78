//! The host-wide limit on messages in transmission. When it is reached, waiting sends pass strictly
//! by priority (1 first), then by age: the reference product promises no fairness between priorities.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::oneshot;

/// A gate with a limited number of passes.
pub struct Gate(Mutex<State>);

struct State {
    free: usize,
    next: u64,
    waiting: BTreeMap<(u8, u64), oneshot::Sender<Pass>>,
}

/// Permission to transmit; dropping it lets the next one through.
pub struct Pass(Option<Arc<Gate>>);

impl Gate {
    /// A gate for `limit` sends at once.
    #[must_use]
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { free: limit.max(1), next: 0, waiting: BTreeMap::new() })))
    }

    /// Waits for a pass.
    pub async fn pass(self: &Arc<Self>, priority: u8) -> Pass {
        let wait = {
            let mut state = self.lock();
            if state.free > 0 {
                state.free -= 1;
                return Pass(Some(self.clone()));
            }
            let (sender, receiver) = oneshot::channel();
            let turn = state.next;
            state.next += 1;
            state.waiting.insert((priority, turn), sender);
            receiver
        };
        // The sender lives in the gate until it is used, so this cannot fail while the gate is alive.
        wait.await.unwrap_or(Pass(None))
    }

    fn give_back(self: &Arc<Self>) {
        let mut state = self.lock();
        while let Some((_, waiter)) = state.waiting.pop_first() {
            let mut pass = match waiter.send(Pass(Some(self.clone()))) {
                Ok(()) => return,
                Err(pass) => pass,
            };
            // The waiter has gone; its pass must not give back again.
            pass.0 = None;
        }
        state.free += 1;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(gate) = self.0.take() {
            gate.give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiting_sends_pass_by_priority_then_age() {
        let gate = Gate::new(1);
        let first = gate.pass(5).await;
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for (name, priority) in [("low", 9), ("normal", 5), ("high", 1), ("normal-2", 5)] {
            let (gate, order) = (gate.clone(), order.clone());
            tasks.push(tokio::spawn(async move {
                let _pass = gate.pass(priority).await;
                order.lock().unwrap().push(name);
            }));
            tokio::task::yield_now().await;
        }
        drop(first);
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), ["high", "normal", "normal-2", "low"]);
    }

    #[tokio::test]
    async fn a_waiter_that_gives_up_does_not_lose_a_pass() {
        let gate = Gate::new(1);
        let first = gate.pass(5).await;
        let gone = tokio::time::timeout(std::time::Duration::from_millis(10), gate.pass(1)).await;
        assert!(gone.is_err());
        drop(first);
        let _second = gate.pass(5).await;
        assert!(tokio::time::timeout(std::time::Duration::from_millis(10), gate.pass(1)).await.is_err());
    }
}
