//! The inputs kept for the fuzz targets, replayed through the same oracles on a stable compiler.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use kinglet::testkit::oracles::ORACLES;

fn fuzz(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz")
        .join(folder)
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// What the files and folders in `folder` are called, without extension.
fn names(folder: &str) -> BTreeSet<String> {
    let stem = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    entries(&fuzz(folder)).iter().map(stem).collect()
}

#[test]
fn every_target_has_an_oracle_and_a_corpus() {
    let oracles: BTreeSet<String> = ORACLES.iter().map(|row| row.0.to_owned()).collect();
    assert_eq!(names("fuzz_targets"), oracles);
    assert_eq!(names("corpus"), oracles);
}

#[test]
fn every_kept_input_passes_its_oracle() {
    for (name, oracle) in ORACLES {
        let inputs = entries(&fuzz("corpus").join(name));
        assert!(!inputs.is_empty(), "the corpus of {name} is empty");
        for path in inputs {
            let input = match fs::read(&path) {
                Ok(input) => input,
                // A fuzzer that runs meanwhile replaces its inputs by smaller ones.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => panic!("{}: {error}", path.display()),
            };
            assert!(
                catch_unwind(|| oracle(&input)).is_ok(),
                "{} breaks the oracle {name}",
                path.display()
            );
        }
    }
}
