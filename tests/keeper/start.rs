//! What an agent is given, and what is told of its start and its end.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use kinglet::os::resource_limits::ResourceLimits;
use kinglet::runtime::keeper::orders::Orders;
use kinglet::runtime::keeper::status::{Record, Stage};
use kinglet::testkit::processes::parent_of;

use crate::run::{Run, sh};

/// Runs to the end and returns standard output.
fn output(orders: &Orders) -> String {
    let mut run = Run::start(orders);
    let output = run.output();
    run.finish();
    String::from_utf8(output).unwrap()
}

#[test]
fn tells_exit_codes_and_signals() {
    let check = |script: &str, code: Option<i32>, signal: Option<i32>| {
        let mut run = Run::start(&sh(script));
        let (status, used) = run.exited();
        run.finish();
        assert_eq!((status.code(), status.signal()), (code, signal), "{script}");
        assert!(used.resident_bytes_max > 100_000, "{used:?}");
        assert!(matches!(
            run.records.as_slice(),
            [Record::Started(_), Record::Exited(..), Record::Gone]
        ));
    };
    check("exit 0", Some(0), None);
    check("exit 1", Some(1), None);
    check("exit 255", Some(255), None);
    check("kill -9 $$", None, Some(9));
    check("kill -15 $$", None, Some(15));
    // Neither is ignored: the one by kinglet, the other by whoever started it.
    check("kill -13 $$", None, Some(13));
    check("kill -1 $$", None, Some(1));
}

#[test]
fn tells_what_was_used() {
    let mut run = Run::start(&sh("i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done"));
    let (_, used) = run.exited();
    run.finish();
    assert!(
        used.user + used.system > Duration::from_millis(5),
        "{used:?}"
    );
}

#[test]
fn arguments_arrive_byte_for_byte() {
    let arguments: Vec<OsString> = [
        b"".as_slice(),
        b"two words",
        b"$(touch /tmp/never) `id` ; | & > *",
        b"--flag=value",
        b"line\nbreak",
        b"'\"\\",
        b"\xff\xfe\x01",
    ]
    .into_iter()
    .map(|bytes| OsString::from_vec(bytes.to_vec()))
    .collect();
    // What follows the script is its arguments.
    let mut orders = sh("cat /proc/$$/cmdline; :");
    orders.arguments.extend(arguments.iter().cloned());
    let mut run = Run::start(&orders);
    let found = run.output();
    run.finish();
    let mut expected = Vec::new();
    let words = orders.arguments.iter().map(OsString::as_os_str);
    for word in [orders.program.as_os_str()].into_iter().chain(words) {
        expected.extend(word.as_bytes());
        expected.push(0);
    }
    assert_eq!(found, expected);
}

#[test]
fn the_environment_is_what_was_ordered() {
    let mut orders = sh("cat /proc/$$/environ; :");
    let odd = OsString::from_vec(b"\xff = $x\n".to_vec());
    orders.environment.push(("ODD".into(), odd));
    orders.environment.push(("EMPTY".into(), "".into()));
    let mut run = Run::start(&orders);
    let found = run.output();
    run.finish();
    let mut found: Vec<&[u8]> = found.split(|byte| *byte == 0).collect();
    // Behind the last one's end there is nothing.
    assert_eq!(found.pop(), Some(b"".as_slice()));
    found.sort_unstable();
    let entry =
        |(name, value): &(OsString, OsString)| [name.as_bytes(), b"=", value.as_bytes()].concat();
    let mut expected: Vec<Vec<u8>> = orders.environment.iter().map(entry).collect();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn runs_where_it_was_ordered_to() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("with space\nand line");
    fs::create_dir(&path).unwrap();
    let mut orders = sh("exec readlink -n /proc/self/cwd");
    orders.directory = path.clone();
    assert_eq!(OsStr::new(&output(&orders)), path.as_os_str());
}

#[test]
fn limits_are_those_ordered() {
    let script = "ulimit -t; ulimit -Ht; ulimit -v; ulimit -n; ulimit -Hn; \
                  awk '/processes/ { print $3, $4 }' /proc/self/limits";
    let mut orders = sh(script);
    orders.limits = ResourceLimits {
        cpu_seconds: Some(100),
        memory_bytes: Some(1 << 30),
        open_files: Some(64),
        processes: Some(5000),
    };
    assert_eq!(output(&orders), "100\n101\n1048576\n64\n64\n5000 5000\n");

    let bare = output(&sh("ulimit -t; ulimit -v; ulimit -n"));
    assert_eq!(bare, "unlimited\nunlimited\n1024\n");
}

#[test]
fn a_limit_on_processor_time_ends_the_agent() {
    let mut orders = sh("while :; do :; done");
    orders.limits.cpu_seconds = Some(1);
    let mut run = Run::start(&orders);
    let (status, used) = run.exited();
    run.finish();
    // SIGXCPU. The kernel measures the limit by its ticks and what was used more precisely.
    assert_eq!(status.signal(), Some(24));
    let cpu = used.user + used.system;
    assert!(cpu > Duration::from_millis(500), "{used:?}");
}

#[test]
fn starts_that_fail_say_where_and_why() {
    let check = |change: &dyn Fn(&mut Orders), stage: Stage, errno: i32| {
        let mut orders = sh("exit 0");
        change(&mut orders);
        let mut run = Run::start(&orders);
        run.finish();
        let expected = [Record::Failed(stage, errno), Record::Gone];
        assert_eq!(run.records, expected);
        assert_eq!(run.output(), b"");
    };
    let (missing, denied, no_directory, invalid) = (2, 13, 20, 22);
    check(
        &|orders| orders.program = "/nonexistent".into(),
        Stage::Program,
        missing,
    );
    check(
        &|orders| orders.program = "/".into(),
        Stage::Program,
        denied,
    );
    check(
        &|orders| orders.program = "/etc/passwd".into(),
        Stage::Program,
        denied,
    );
    check(
        &|orders| orders.directory = "/nonexistent".into(),
        Stage::Directory,
        missing,
    );
    check(
        &|orders| orders.directory = "/etc/passwd".into(),
        Stage::Directory,
        no_directory,
    );
    check(
        &|orders| orders.arguments.push("a\0b".into()),
        Stage::Program,
        invalid,
    );
}

#[test]
fn large_orders_are_taken() {
    let mut orders = sh("echo ${#LARGE}");
    for count in 0..20 {
        let name = if count == 0 {
            "LARGE".to_owned()
        } else {
            format!("V{count}")
        };
        orders
            .environment
            .push((name.into(), "x".repeat(100_000).into()));
    }
    assert_eq!(output(&orders), "100000\n");
}

#[test]
fn the_agent_has_its_streams_and_nothing_else() {
    let mut run = Run::start(&sh(
        "read line; echo \"$line\"; echo wrong >&2; ls /proc/$$/fd",
    ));
    let stdin = run.stdin.as_mut().unwrap();
    std::io::Write::write_all(stdin, b"told\n").unwrap();
    let output = run.output();
    run.finish();
    assert_eq!(String::from_utf8(output).unwrap(), "told\n0\n1\n2\n");
    let mut said = Vec::new();
    std::io::Read::read_to_end(&mut run.stderr, &mut said).unwrap();
    assert_eq!(said, b"wrong\n");
}

#[test]
fn the_agent_ignores_and_blocks_no_signal_and_leads_a_group() {
    let output = output(&sh("exec cat /proc/self/status /proc/self/stat"));
    for name in ["SigBlk:", "SigIgn:", "SigCgt:"] {
        let mask = output.lines().find_map(|line| line.strip_prefix(name));
        let mask = u64::from_str_radix(mask.unwrap().trim(), 16).unwrap();
        // glibc keeps 32 and 33 to itself and resets them for nobody.
        assert_eq!(mask & !0x1_8000_0000, 0, "{name} {mask:x}");
    }
    let stat = output.lines().last().unwrap();
    let fields: Vec<&str> = stat.split(' ').collect();
    let (pid, parent, group, session) = (fields[0], fields[3], fields[4], fields[5]);
    assert_eq!(group, pid);
    assert_eq!(session, parent, "the keeper leads the session");
}

#[test]
fn a_keeper_shows_nothing_of_its_run() {
    let mut orders = sh("exec sleep 1000");
    orders.environment.push(("SECRET".into(), "s3cret".into()));
    let mut run = Run::start(&orders);
    let agent = run.agent();
    let warden = run.keeper.number();
    let keeper = parent_of(agent.number());
    assert_eq!(parent_of(keeper), warden);
    assert_eq!(
        parent_of(warden),
        i32::try_from(std::process::id()).unwrap()
    );
    for pid in [warden, keeper] {
        let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap();
        assert_eq!(read("cmdline"), b"keeper\0keeper\0");
        assert_eq!(read("comm"), b"keeper\n");
        assert_eq!(read("environ"), b"");
        assert_eq!(
            fs::read_link(format!("/proc/{pid}/cwd")).unwrap(),
            std::path::Path::new("/")
        );
        assert_eq!(
            fs::read_dir(format!("/proc/{pid}/task")).unwrap().count(),
            1
        );
        for stream in 0..3 {
            let stream = fs::read_link(format!("/proc/{pid}/fd/{stream}")).unwrap();
            assert_eq!(stream, std::path::Path::new("/dev/null"));
        }
    }
    run.kill();
    run.finish();
}

#[test]
fn a_keeper_started_by_hand_says_so() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_kinglet"))
        .arg("keeper")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("started by kinglet itself"), "{said}");
}
