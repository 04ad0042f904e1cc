//! What GitHub tells by webhook: whether it is GitHub, and what it means in the catalogue.
//!
//! A delivery is signed with a secret that both sides know. Of its payload only what an event needs
//! is read, so that whatever GitHub adds is no concern of ours. May not touch: HTTP, and who hears of
//! it. Source: <https://docs.github.com/webhooks>.

use ring::hmac;
use serde::Deserialize;

use crate::config::Secret;
use crate::domain::catalogue::code::{
    IssueEvent, IssueStatus, PullRequestClosed, PullRequestCreated, PullRequestUpdated,
};
use crate::domain::catalogue::services::{ProjectUpdated, WorkflowEvent, WorkflowStatus};
use crate::domain::catalogue::values::{Count, Id, Link, Time, Within};
use crate::domain::catalogue::{Event, Members, find, read};
use crate::domain::fault::Fault;

/// The events that become events of the catalogue.
pub const EVENTS: [&str; 4] = ["issues", "pull_request", "push", "workflow_run"];

/// The event that GitHub sends when a webhook is made.
pub const PING: &str = "ping";

/// Whether `signature`, the value of X-Hub-Signature-256, is that of `body`; takes as long for a
/// wrong one as for the right one.
#[must_use]
pub fn is_signed(secret: &Secret, body: &[u8], signature: &str) -> bool {
    let Some(digits) = signature.strip_prefix("sha256=") else {
        return false;
    };
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).ok()?;
        let is_hex = pair.bytes().all(|b| b.is_ascii_hexdigit());
        u8::from_str_radix(pair, 16).ok().filter(|_| is_hex)
    };
    let tag: Option<Vec<u8>> = digits.as_bytes().chunks(2).map(byte).collect();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose());
    let whole = digits.len() == 64;
    tag.is_some_and(|tag| whole && hmac::verify(&key, body, &tag).is_ok())
}

/// The signature of `body`, as GitHub would send it.
#[cfg(any(test, feature = "testkit"))]
#[must_use]
pub fn sign(secret: &Secret, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose());
    let tag = hmac::sign(&key, body);
    let digits = tag.as_ref().iter().map(|byte| format!("{byte:02x}"));
    format!("sha256={}", digits.collect::<String>())
}

/// The event of the catalogue that `name` with the payload `body` means; `None` if it means none.
/// Without a `project` it is about the one called as the repository, `owner/name`.
///
/// # Errors
/// VALIDATION_FAILED with the path of what is not as GitHub sends it.
pub fn translate(name: &str, body: &str, project: Option<Id>) -> Result<Option<Event>, Fault> {
    let whose = |repository: &Repository| project.unwrap_or_else(|| repository.full_name.clone());
    match name {
        "pull_request" => {
            let delivery: PullRequestDelivery = read("", body)?;
            let project = whose(&delivery.repository);
            pull_request(delivery, project).map(Some)
        }
        "issues" => {
            let delivery: IssueDelivery = read("", body)?;
            let project = whose(&delivery.repository);
            issue(delivery, project).map(Some)
        }
        "push" => {
            let delivery: PushDelivery = read("", body)?;
            let project = whose(&delivery.repository);
            push(delivery, project).map(Some)
        }
        "workflow_run" => {
            let delivery: WorkflowDelivery = read("", body)?;
            let project = whose(&delivery.repository);
            workflow(delivery, project).map(Some)
        }
        _ => Ok(None),
    }
}

#[derive(Deserialize)]
struct Repository {
    full_name: Id,
    html_url: Link,
}

#[derive(Deserialize)]
struct Account {
    login: String,
}

#[derive(Deserialize)]
struct PullRequestDelivery {
    action: String,
    pull_request: PullRequest,
    repository: Repository,
}

#[derive(Deserialize)]
struct PullRequest {
    id: Id,
    title: String,
    body: Option<String>,
    user: Option<Account>,
    head: Branch,
    html_url: Link,
    state: String,
    #[serde(default)]
    draft: bool,
    /// Absent from some deliveries, null while GitHub does not know.
    merged: Option<bool>,
    created_at: Option<Time>,
}

#[derive(Deserialize)]
struct Branch {
    #[serde(rename = "ref")]
    name: String,
}

fn pull_request(delivery: PullRequestDelivery, project_id: Id) -> Result<Event, Fault> {
    let PullRequest {
        id: pr_id,
        title,
        body: description,
        user,
        head,
        html_url: github_url,
        state,
        draft,
        merged,
        created_at,
    } = delivery.pull_request;
    let merged = merged.unwrap_or(false);
    let status = match (merged, draft && state == "open") {
        (true, _) => "merged".to_owned(),
        (false, true) => "draft".to_owned(),
        (false, false) => state,
    };
    Ok(match delivery.action.as_str() {
        "opened" => find("pr.created")?.compose(&PullRequestCreated {
            pr_id,
            project_id,
            title,
            description,
            author: login(user),
            branch: head.name,
            github_url,
            status,
            created_at,
        }),
        "closed" => find("pr.closed")?.compose(&PullRequestClosed {
            pr_id,
            project_id,
            title,
            status,
            merged,
        }),
        _ => find("pr.updated")?.compose(&PullRequestUpdated {
            pr_id,
            project_id,
            title,
            status,
        }),
    })
}

/// GitHub shows those who are gone as one account.
fn login(user: Option<Account>) -> String {
    user.map_or_else(|| "ghost".to_owned(), |user| user.login)
}

#[derive(Deserialize)]
struct IssueDelivery {
    action: String,
    issue: Issue,
    repository: Repository,
}

#[derive(Deserialize)]
struct Issue {
    id: Id,
    title: String,
    body: Option<String>,
    state: Option<String>,
    assignee: Option<Account>,
    updated_at: Option<Time>,
}

fn issue(delivery: IssueDelivery, project_id: Id) -> Result<Event, Fault> {
    let Issue {
        id: issue_id,
        title,
        body: description,
        state,
        assignee,
        updated_at,
    } = delivery.issue;
    let name = match delivery.action.as_str() {
        "opened" => "issue.created",
        // Deleted or in another repository, it is no issue of this one any more.
        "closed" | "deleted" | "transferred" => "issue.closed",
        _ => "issue.updated",
    };
    let is_closed = name == "issue.closed" || state.as_deref() == Some("closed");
    Ok(find(name)?.compose(&IssueEvent {
        issue_id,
        project_id,
        title,
        description,
        status: match is_closed {
            true => IssueStatus::Closed,
            false => IssueStatus::Open,
        },
        priority: None,
        assigned_to: assignee.and_then(|user| Id::parse(&user.login)),
        updated_at,
    }))
}

#[derive(Deserialize)]
struct PushDelivery {
    #[serde(rename = "ref")]
    reference: String,
    before: String,
    after: String,
    compare: Option<String>,
    #[serde(default)]
    commits: Vec<serde::de::IgnoredAny>,
    sender: Option<Account>,
    repository: Repository,
}

fn push(delivery: PushDelivery, project_id: Id) -> Result<Event, Fault> {
    let mut changes = Members::new();
    changes.insert("ref".into(), delivery.reference.into());
    changes.insert("before".into(), delivery.before.into());
    changes.insert("after".into(), delivery.after.into());
    changes.insert("commits".into(), delivery.commits.len().into());
    if let Some(compare) = delivery.compare {
        changes.insert("compare".into(), compare.into());
    }
    Ok(find("project.updated")?.compose(&ProjectUpdated {
        project_id,
        project_name: Some(delivery.repository.full_name.as_str().to_owned()),
        repository_url: Some(delivery.repository.html_url),
        status: None,
        updated_by: delivery.sender.and_then(|user| Id::parse(&user.login)),
        changes: Some(changes),
        action: None,
        project: None,
    }))
}

#[derive(Deserialize)]
struct WorkflowDelivery {
    action: String,
    workflow_run: WorkflowRun,
    repository: Repository,
}

#[derive(Deserialize)]
struct WorkflowRun {
    id: Id,
    name: Option<String>,
    conclusion: Option<String>,
    html_url: Link,
}

fn workflow(delivery: WorkflowDelivery, project_id: Id) -> Result<Event, Fault> {
    let run = delivery.workflow_run;
    let conclusion = run.conclusion.as_deref();
    let (name, status) = match (delivery.action.as_str(), conclusion) {
        ("requested", _) => ("workflow.started", WorkflowStatus::Pending),
        ("completed", Some("success" | "neutral" | "skipped") | None) => {
            ("workflow.completed", WorkflowStatus::Completed)
        }
        ("completed", Some("cancelled")) => ("workflow.failed", WorkflowStatus::Cancelled),
        ("completed", Some(_)) => ("workflow.failed", WorkflowStatus::Failed),
        _ => ("workflow.progress", WorkflowStatus::Running),
    };
    let errors = conclusion.filter(|_| name == "workflow.failed");
    Ok(find(name)?.compose(&WorkflowEvent {
        workflow_id: run.id,
        project_id: Some(project_id),
        status,
        // GitHub tells the beginning and the end of a run, and nothing of its steps.
        progress: match delivery.action.as_str() {
            "completed" => Within::GREATEST,
            _ => Within::LEAST,
        },
        current_step: run.name.unwrap_or_else(|| delivery.action.clone()),
        total_steps: Count(1),
        estimated_time_remaining: None,
        logs: None,
        errors: errors.map(|conclusion| vec![conclusion.to_owned()]),
        github_url: Some(run.html_url),
    }))
}

#[cfg(test)]
mod tests;
