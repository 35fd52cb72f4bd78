//! A document specification made ready for reading: its expressions as one trie. Made once per schema
//! and kept.

use crate::xpath::{self, Trie};
use portolan_model::code;
use portolan_sdk::{ComponentError, DocumentSpec, PromotedField, Schemas};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Number of the body expression in the trie.
pub const BODY: usize = usize::MAX;

/// A specification with its compiled expressions. Numbers in the trie: promoted fields in their order,
/// then distinguished ones, and [`BODY`].
pub struct Plan {
    /// The specification.
    pub spec: Arc<DocumentSpec>,
    /// Its expressions.
    pub trie: Trie,
    /// Of each promoted field, whether its value must not be shown.
    pub sensitive: Vec<bool>,
}

impl Plan {
    fn new(spec: &Arc<DocumentSpec>, schemas: &Schemas) -> Result<Self, ComponentError> {
        let mut trie = Trie::default();
        let mut add = |expression: &str, number: usize| match xpath::parse(expression) {
            Ok(path) => {
                trie.add(&path, number);
                Ok(())
            }
            Err(error) => {
                let message = format!("the schema {} has an XPath that is not understood: {error}", spec.file);
                Err(ComponentError::new(code::CONFIG_SCHEMA, message))
            }
        };
        for (number, field) in spec.promoted.iter().enumerate() {
            add(&field.xpath, number)?;
        }
        for (number, expression) in spec.distinguished.iter().enumerate() {
            add(expression, spec.promoted.len() + number)?;
        }
        if let Some(expression) = &spec.body_xpath {
            add(expression, BODY)?;
        }
        let is_sensitive = |field: &PromotedField| schemas.properties().any(|p| p.sensitive && p.name == field.property);
        Ok(Self { spec: spec.clone(), trie, sensitive: spec.promoted.iter().map(is_sensitive).collect() })
    }

    /// How many fields there are.
    #[must_use]
    pub fn fields(&self) -> usize {
        self.spec.promoted.len() + self.spec.distinguished.len()
    }
}

/// Plans of all specifications used so far. A plan keeps its specification alive, so that the address is
/// a key that is not used twice.
#[derive(Default)]
pub struct Plans(Mutex<BTreeMap<usize, Arc<Plan>>>);

impl Plans {
    /// The plan of a specification.
    ///
    /// # Errors
    /// PTL0006 when the specification has an expression that is not understood.
    pub fn of(&self, spec: &Arc<DocumentSpec>, schemas: &Schemas) -> Result<Arc<Plan>, ComponentError> {
        let key = Arc::as_ptr(spec) as usize;
        let mut plans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plan) = plans.get(&key) {
            return Ok(plan.clone());
        }
        let plan = Arc::new(Plan::new(spec, schemas)?);
        plans.insert(key, plan.clone());
        Ok(plan)
    }
}
