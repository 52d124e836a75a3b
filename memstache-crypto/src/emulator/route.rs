//! Which operation a method and a path mean.

use super::{failure::Failure, operation::Operation};

/// Longest path and query together, in bytes.
pub(super) const MAX_TARGET: usize = 4096;

/// An operation and what it is asked of; an absent version is the newest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route<'a> {
    pub(super) operation: Operation,
    pub(super) name: &'a str,
    pub(super) version: Option<&'a str>,
}

/// Finds the route.
///
/// The official clients leave an absent version empty: `/secrets/{name}/`, `/keys/{name}//wrapkey`. So empty segments
/// count, but one at the end, and those at the start (a vault's address that ends with a slash) do not.
pub(super) fn route<'a>(method: &str, path: &'a str) -> Result<Route<'a>, Failure> {
    let path = path.trim_start_matches('/');
    let segments: Vec<_> = path.strip_suffix('/').unwrap_or(path).split('/').collect();
    let found = match *segments.as_slice() {
        ["secrets", ref rest @ ..] => secrets(method, rest),
        ["keys", ref rest @ ..] => keys(method, rest),
        ["deletedsecrets", ref rest @ ..] => deleted(method, rest, &SECRETS),
        ["deletedkeys", ref rest @ ..] => deleted(method, rest, &KEYS),
        _ => None,
    };
    found.ok_or_else(|| {
        Failure::new(404, "NotFound", "The emulator has no such resource, or it does not know the method.")
    })
}

/// The operations that both planes have.
struct Plane {
    get: Operation,
    update: Operation,
    list: Operation,
    versions: Operation,
    delete: Operation,
    backup: Operation,
    restore: Operation,
    get_deleted: Operation,
    list_deleted: Operation,
    recover: Operation,
    purge: Operation,
}

const SECRETS: Plane = Plane {
    get: Operation::GetSecret,
    update: Operation::UpdateSecret,
    list: Operation::ListSecrets,
    versions: Operation::ListSecretVersions,
    delete: Operation::DeleteSecret,
    backup: Operation::BackupSecret,
    restore: Operation::RestoreSecret,
    get_deleted: Operation::GetDeletedSecret,
    list_deleted: Operation::ListDeletedSecrets,
    recover: Operation::RecoverSecret,
    purge: Operation::PurgeSecret,
};

const KEYS: Plane = Plane {
    get: Operation::GetKey,
    update: Operation::UpdateKey,
    list: Operation::ListKeys,
    versions: Operation::ListKeyVersions,
    delete: Operation::DeleteKey,
    backup: Operation::BackupKey,
    restore: Operation::RestoreKey,
    get_deleted: Operation::GetDeletedKey,
    list_deleted: Operation::ListDeletedKeys,
    recover: Operation::RecoverKey,
    purge: Operation::PurgeKey,
};

fn secrets<'a>(method: &str, rest: &[&'a str]) -> Option<Route<'a>> {
    match (method, rest) {
        ("PUT", &[name]) => Some(to(Operation::SetSecret, name)),
        _ => common(method, rest, &SECRETS),
    }
}

fn keys<'a>(method: &str, rest: &[&'a str]) -> Option<Route<'a>> {
    Some(match (method, rest) {
        ("PUT", &[name]) => to(Operation::ImportKey, name),
        ("POST", &[name, "create"]) => to(Operation::CreateKey, name),
        ("POST", &[name, "rotate"]) => to(Operation::RotateKey, name),
        ("GET", &[name, "rotationpolicy"]) => to(Operation::GetRotationPolicy, name),
        ("PUT", &[name, "rotationpolicy"]) => to(Operation::SetRotationPolicy, name),
        ("POST", &[name, version, "encrypt"]) => at(Operation::Encrypt, name, version),
        ("POST", &[name, version, "decrypt"]) => at(Operation::Decrypt, name, version),
        ("POST", &[name, version, "wrapkey"]) => at(Operation::WrapKey, name, version),
        ("POST", &[name, version, "unwrapkey"]) => at(Operation::UnwrapKey, name, version),
        _ => return common(method, rest, &KEYS),
    })
}

fn common<'a>(method: &str, rest: &[&'a str], plane: &Plane) -> Option<Route<'a>> {
    Some(match (method, rest) {
        ("GET", &[]) => to(plane.list, ""),
        ("POST", &["restore"]) => to(plane.restore, ""),
        ("GET", &[name]) => to(plane.get, name),
        ("PATCH", &[name]) => to(plane.update, name),
        ("DELETE", &[name]) => to(plane.delete, name),
        ("GET", &[name, "versions"]) => to(plane.versions, name),
        ("POST", &[name, "backup"]) => to(plane.backup, name),
        ("GET", &[name, version]) => at(plane.get, name, version),
        ("PATCH", &[name, version]) => at(plane.update, name, version),
        _ => return None,
    })
}

fn deleted<'a>(method: &str, rest: &[&'a str], plane: &Plane) -> Option<Route<'a>> {
    Some(match (method, rest) {
        ("GET", &[]) => to(plane.list_deleted, ""),
        ("GET", &[name]) => to(plane.get_deleted, name),
        ("DELETE", &[name]) => to(plane.purge, name),
        ("POST", &[name, "recover"]) => to(plane.recover, name),
        _ => return None,
    })
}

fn to(operation: Operation, name: &str) -> Route<'_> {
    Route { operation, name, version: None }
}

fn at<'a>(operation: Operation, name: &'a str, version: &'a str) -> Route<'a> {
    Route { operation, name, version: (!version.is_empty()).then_some(version) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: &str, path: &str) -> Option<(Operation, String, Option<String>)> {
        let route = route(method, path).ok()?;
        Some((route.operation, route.name.to_owned(), route.version.map(str::to_owned)))
    }

    #[test]
    fn absent_versions_are_empty_segments() {
        let newest = |operation| Some((operation, "n".to_owned(), None));
        let versioned = |operation| Some((operation, "n".to_owned(), Some("v".to_owned())));
        assert_eq!(found("GET", "/secrets/n"), newest(Operation::GetSecret));
        assert_eq!(found("GET", "/secrets/n/"), newest(Operation::GetSecret));
        assert_eq!(found("GET", "//secrets/n/v"), versioned(Operation::GetSecret));
        assert_eq!(found("POST", "/keys/n//wrapkey"), newest(Operation::WrapKey));
        assert_eq!(found("POST", "/keys/n/v/unwrapkey"), versioned(Operation::UnwrapKey));
        assert_eq!(found("PATCH", "/keys/n/"), newest(Operation::UpdateKey));
    }

    #[test]
    fn words_are_names_where_the_method_differs() {
        assert_eq!(found("POST", "/secrets/restore").unwrap().0, Operation::RestoreSecret);
        assert_eq!(found("PUT", "/secrets/restore").unwrap().0, Operation::SetSecret);
        assert_eq!(found("GET", "/keys/versions/versions").unwrap().0, Operation::ListKeyVersions);
        assert_eq!(found("GET", "/deletedkeys/").unwrap().0, Operation::ListDeletedKeys);
        assert_eq!(found("DELETE", "/deletedkeys/n").unwrap().0, Operation::PurgeKey);
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        for (method, path) in [
            ("GET", "/"),
            ("GET", ""),
            ("GET", "/certificates"),
            ("POST", "/secrets"),
            ("POST", "/keys/n/wrapkey"),
            ("POST", "/keys/n/v/sign"),
            ("PUT", "/keys/n/v"),
            ("DELETE", "/secrets/n/v"),
            ("GET", "/secrets/n/v/w"),
            ("get", "/secrets/n"),
        ] {
            assert_eq!(route(method, path).unwrap_err().status, 404, "{method} {path}");
        }
    }
}
