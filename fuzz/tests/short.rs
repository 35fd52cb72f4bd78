//! A short campaign on every target with a fixed seed: the same executions on every machine.

use portolan_fuzz::{
    campaign::{self, Budget},
    memory::Counting,
    targets,
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_short_campaign_finds_nothing() {
    // One after the other: the memory of an execution is measured for the whole process.
    for target in targets::ALL {
        let findings = std::env::temp_dir().join(format!("portolan-fuzz-short-{}", std::process::id()));
        let report = campaign::run(*target, 20_261_122, Budget::Executions(target.short), &findings).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(report.executions, target.short, "{}", target.name);
    }
}
