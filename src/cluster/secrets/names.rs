//! Names of fields whose values are secrets.

/// Parts of such names, without the signs between words.
const PARTS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "token",
    "apikey",
    "accesskey",
    "secretkey",
    "privatekey",
    "clientsecret",
    "credential",
    "encryptionkey",
    "htpasswd",
    "connectionstring",
    "webhookurl",
];
/// Words that are parts of others too, and tell nothing there.
const WORDS: &[&str] = &["pass", "pwd", "creds"];
/// Ends of names of fields that say where a secret is, how long it lives or what it looks like.
const HARMLESS_ENDS: &[&str] = &[
    "name",
    "ref",
    "path",
    "file",
    "ttl",
    "expiry",
    "expiration",
    "enabled",
    "key",
    "namespace",
    "length",
    "seconds",
    "minutes",
    "hours",
    "days",
];
/// The same of beginnings.
const HARMLESS_STARTS: &[&str] = &["existing", "automount"];

/// A name without what tells spellings apart.
pub(super) fn plain(key: &str) -> String {
    key.chars().filter(|c| !matches!(c, '-' | '_' | '.')).flat_map(char::to_lowercase).collect()
}

/// Whether the name of a field says that its value is a secret.
pub(super) fn is_secret(key: &str) -> bool {
    let plain = plain(key);
    let exact = ["secret", "secretkey", "accesskey", "apikey", "privatekey", "tlskey", "encryptionkey"];
    exact.contains(&&*plain)
        || exact[1..].iter().any(|end| plain.ends_with(end))
        || !is_harmless(key) && (PARTS.iter().any(|part| plain.contains(part)) || has_secret_word(key))
}

/// Whether the name of a field says that its value only tells of a secret.
pub(super) fn is_harmless(key: &str) -> bool {
    let plain = plain(key);
    HARMLESS_STARTS.iter().any(|start| plain.starts_with(start)) || HARMLESS_ENDS.iter().any(|end| plain.ends_with(end))
}

fn has_secret_word(key: &str) -> bool {
    let words = words(key);
    let next = |index: usize| words.get(index + 1).map(String::as_str);
    (0..words.len()).any(|index| WORDS.contains(&&*words[index]) && next(index) != Some("through"))
}

/// The words of `dbPass`, `DB_PASS`, `db-pass2` and `DBPass`.
fn words(key: &str) -> Vec<String> {
    let signs: Vec<char> = key.chars().collect();
    let (mut words, mut word) = (Vec::new(), String::new());
    for (index, sign) in signs.iter().enumerate() {
        let before = index.checked_sub(1).map(|index| signs[index]);
        let after_small = before.is_some_and(char::is_lowercase);
        let before_small = signs.get(index + 1).is_some_and(|next| next.is_lowercase());
        let is_new = sign.is_uppercase() && (after_small || before_small);
        if is_new || !sign.is_alphabetic() {
            words.push(std::mem::take(&mut word));
        }
        if sign.is_alphabetic() {
            word.extend(sign.to_lowercase());
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_of_secrets() {
        for name in [
            "password",
            "adminPassword",
            "DB_PASSWORD",
            "postgres-password",
            "token",
            "apiToken",
            "clientSecret",
            "secretKey",
            "AWS_SECRET_ACCESS_KEY",
            "apiKey",
            "privateKey",
            "secret",
            "htpasswd",
            "pass",
            "DB_PASS",
            "dbPass",
            "DBPass",
            "smtp-pass",
            "db.pass2",
            "pwd",
            "DB_PWD",
            "PWD",
            "userPwd",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "existingSecret",
            "existingSecretPasswordKey",
            "secretName",
            "imagePullSecrets",
            "passwordSecretRef",
            "tokenTTL",
            "passwordLength",
            "tokenLifetimeSeconds",
            "key",
            "tokenPath",
            "automountServiceAccountToken",
            "user",
            "secretRef",
            "passthrough",
            "sslPassthrough",
            "ssl-pass-through",
            "bypass",
            "compass",
            "passive",
            "DB_PASS_FILE",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
