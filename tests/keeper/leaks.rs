//! Many short runs leave nothing: no zombie, no descriptor.

use std::fs;

use kinglet::testkit::processes::exists;

use crate::run::{Run, sh};

#[test]
fn five_hundred_short_runs_leave_no_zombie_and_no_descriptor() {
    let descriptors = || fs::read_dir("/proc/self/fd").unwrap().count();
    let before = descriptors();
    for count in 0..500 {
        let script = if count % 2 == 0 {
            "exit 0"
        } else {
            "sleep 1000 & exit 1"
        };
        let mut run = Run::start(&sh(script));
        let agent = run.agent().number();
        run.exited();
        run.kill();
        run.finish();
        // A zombie would be there.
        assert!(!exists(run.keeper.number()) && !exists(agent));
    }
    // Others may be open in tests at the side.
    assert!(descriptors() <= before + 20, "{before}");
}
