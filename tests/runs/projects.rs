//! Projects: where they may be, how many, and that nobody deletes one that works.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;

use crate::host::{Host, text};

#[test]
fn a_project_is_a_directory_under_the_roots_and_in_no_other() {
    let host = Host::start(&[]);
    let root = host.root.path().to_str().unwrap().to_owned();
    fs::create_dir_all(format!("{root}/outer/inner")).unwrap();
    fs::create_dir_all(format!("{root}/outer2")).unwrap();
    fs::write(format!("{root}/file"), "").unwrap();
    symlink("/etc", format!("{root}/link")).unwrap();
    symlink(format!("{root}/outer"), format!("{root}/alias")).unwrap();
    let create = |path: &str| host.post("/api/v1/projects", &json!({"path": path}));
    let check = |path: &str, status: u16, code: &str| {
        let answer = create(path);
        assert_eq!(
            (answer.status(), answer.code().as_str()),
            (status, code),
            "{path}: {answer:?}"
        );
    };
    check(&format!("{root}/outer"), 201, "");
    check(&format!("{root}/outer"), 409, "PROJECT_EXISTS");
    check(&format!("{root}/outer/"), 409, "PROJECT_EXISTS");
    check(&format!("{root}/alias"), 409, "PROJECT_EXISTS");
    check(&format!("{root}/outer/inner"), 409, "PROJECT_NESTING");
    check(&format!("{root}/outer/../outer/inner"), 400, "INVALID_PATH");
    check(&root, 409, "PROJECT_NESTING");
    // It begins with the same letters, and lies beside.
    check(&format!("{root}/outer2"), 201, "");
    check(&format!("{root}/none"), 400, "INVALID_PATH");
    check(&format!("{root}/file"), 400, "INVALID_PATH");
    check(&format!("{root}/link"), 400, "INVALID_PATH");
    check("/etc", 400, "INVALID_PATH");
    check("relative", 400, "INVALID_PATH");
    check(&format!("{root}/../../etc"), 400, "INVALID_PATH");
    check("", 400, "INVALID_PATH");
    let listed = host.get("/api/v1/projects").json();
    assert_eq!(listed["projects"].as_array().unwrap().len(), 2);
}

#[test]
fn there_are_a_hundred_projects_and_no_more() {
    let host = Host::start(&[]);
    let projects: Vec<String> = (0..100).map(|n| host.project(&format!("p{n}"))).collect();
    let path = host.root.path().join("more");
    fs::create_dir(&path).unwrap();
    let create = || host.post("/api/v1/projects", &json!({"path": path}));
    let refused = create();
    assert_eq!(
        (refused.status(), refused.code().as_str()),
        (429, "RESOURCE_LIMIT"),
        "{refused:?}"
    );
    assert_eq!(
        host.delete(&format!("/api/v1/projects/{}", projects[0]))
            .status(),
        200
    );
    assert_eq!(create().status(), 201);
}

#[test]
fn a_project_is_not_deleted_while_it_executes() {
    let mut host = Host::start(&[]);
    let project = host.project("a");
    let target = format!("/api/v1/projects/{project}");
    let mut watcher = host.watch(&project);
    let run = host.shell(&project, "sleep 1000");
    watcher.await_kind("run.started");
    let refused = host.delete(&target);
    assert_eq!(
        (refused.status(), refused.code().as_str()),
        (409, "PROCESS_ACTIVE")
    );
    watcher.hears_nothing();
    host.cancel(&run);
    watcher.await_kind("run.exited");
    let deleted = host.delete(&target);
    assert_eq!(deleted.status(), 200, "{deleted:?}");
    watcher.await_kind("project_deleted");
    assert_eq!(host.get(&target).status(), 404);
    assert_eq!(host.get(&format!("/api/v1/runs/{run}")).status(), 404);
    let refused = host.ask(&project, &json!({"agent": "shell", "prompt": "exit 0"}));
    assert_eq!(
        (refused.status(), refused.code().as_str()),
        (404, "PROJECT_NOT_FOUND")
    );
    // The directory is untouched, and can be a project again, which begins anew.
    let again = host.project("a");
    assert_ne!(again, project);
    host.kill();
    host.restart();
    let listed = host.get("/api/v1/projects").json()["projects"].take();
    let ids: Vec<String> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|it| text(&it["id"]))
        .collect();
    assert_eq!(ids, [again.as_str()]);
    let run = host.shell(&again, "exit 0");
    assert_eq!(host.check_story(&again, &run)["first_offset"], 1);
}
