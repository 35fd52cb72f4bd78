//! Numbers for services: rows and groups name a service by its number, which never changes.

use portolan_model::instance::{Service, ServiceClass};
use std::collections::HashMap;

/// The numbers given so far.
#[derive(Default)]
pub(crate) struct Services {
    list: Vec<Service>,
    numbers: HashMap<Service, u32>,
    /// How many of them the database has.
    saved: usize,
}

impl Services {
    /// Takes in one the database has; they come by number, without gaps.
    pub(crate) fn load(&mut self, service: Service) {
        self.number(&service);
        self.saved = self.list.len();
    }

    /// The number of a service, a new one if need be.
    pub(crate) fn number(&mut self, service: &Service) -> u32 {
        if let Some(number) = self.numbers.get(service) {
            return *number;
        }
        let number = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        self.list.push(service.clone());
        self.numbers.insert(service.clone(), number);
        number
    }

    pub(crate) fn find(&self, service: &Service) -> Option<u32> {
        self.numbers.get(service).copied()
    }

    pub(crate) fn get(&self, number: u32) -> Service {
        // Rows only name services saved before them; a report has the least meaning.
        self.list.get(number as usize).cloned().unwrap_or_else(Service::report)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Service)> {
        (0..).zip(self.list.iter())
    }

    /// Those the database does not have yet.
    pub(crate) fn unsaved(&self) -> Vec<(u32, Service)> {
        (0..).zip(self.list.iter().cloned()).skip(self.saved).collect()
    }

    /// The database has the first `count`.
    pub(crate) fn saved(&mut self, count: usize) {
        self.saved = self.saved.max(count);
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }
}

/// The stored form of a class.
pub(crate) fn class_number(class: ServiceClass) -> i64 {
    match class {
        ServiceClass::SendPort => 0,
        ServiceClass::ReceivePort => 1,
        ServiceClass::RoutingFailureReport => 2,
    }
}

/// The class of a stored form.
pub(crate) fn class_of(number: i64) -> Option<ServiceClass> {
    match number {
        0 => Some(ServiceClass::SendPort),
        1 => Some(ServiceClass::ReceivePort),
        2 => Some(ServiceClass::RoutingFailureReport),
        _ => None,
    }
}
