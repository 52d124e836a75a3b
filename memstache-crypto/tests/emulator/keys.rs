//! The keys plane, with real RSA.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::{
    encoding::AsDer as _,
    rsa::{KeyPair, OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey, PublicKeyComponents},
};
use data_encoding::BASE64URL_NOPAD;
use memstache_core::testing::ManualClock;
use serde_json::{Value, json};

use crate::client::{Client, builder, start};

const PLAIN: &[u8] = b"thirty-two bytes that are secret";

fn version(bundle: &Value) -> String {
    bundle["key"]["kid"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
}

fn given(alg: &str, bytes: &[u8]) -> Value {
    json!({ "alg": alg, "value": BASE64URL_NOPAD.encode(bytes) })
}

fn bytes(answer: &Value) -> Vec<u8> {
    BASE64URL_NOPAD.decode(answer["value"].as_str().unwrap().as_bytes()).unwrap()
}

async fn create(client: &Client, name: &str) -> Value {
    client.post(&format!("/keys/{name}/create"), json!({ "kty": "RSA" })).await.ok()
}

#[tokio::test]
async fn a_key_wraps_and_unwraps() {
    let client = start().await;
    let key = client
        .post(
            "/keys/K/create",
            json!({ "kty": "RSA", "key_size": 3072, "key_ops": ["wrapKey", "unwrapKey"], "tags": { "a": "b" } }),
        )
        .await
        .ok();
    assert_eq!((&key["key"]["kty"], &key["key"]["e"], &key["tags"]["a"]), (&json!("RSA"), &json!("AQAB"), &json!("b")));
    assert_eq!(key["key"]["key_ops"], json!(["unwrapKey", "wrapKey"]));
    assert_eq!(key["key"]["kid"], format!("{}/keys/K/{}", client.0.base_url(), version(&key)));
    assert_eq!(BASE64URL_NOPAD.decode(key["key"]["n"].as_str().unwrap().as_bytes()).unwrap().len(), 384);
    assert_eq!(client.get("/keys/K/").await.ok(), key);
    assert_eq!(client.get(&format!("/keys/k/{}", version(&key))).await.ok(), key);
    assert!(!key.to_string().contains("\"d\""));

    for alg in ["RSA-OAEP", "RSA-OAEP-256"] {
        // The double slash is how the official clients ask for the newest version.
        let wrapped = client.post("/keys/K//wrapkey", given(alg, PLAIN)).await.ok();
        assert_eq!((&wrapped["kid"], bytes(&wrapped).len()), (&key["key"]["kid"], 384));
        let path = format!("/keys/K/{}/unwrapkey", version(&key));
        assert_eq!(bytes(&client.post(&path, given(alg, &bytes(&wrapped))).await.ok()), PLAIN);
        let other = if alg == "RSA-OAEP" { "RSA-OAEP-256" } else { "RSA-OAEP" };
        assert_eq!(client.post(&path, given(other, &bytes(&wrapped))).await.error(), (400, "BadParameter", None));
        let mut damaged = bytes(&wrapped);
        damaged[100] ^= 1;
        assert_eq!(client.post(&path, given(alg, &damaged)).await.error(), (400, "BadParameter", None));
    }
    for operation in ["encrypt", "decrypt"] {
        let refused = client.post(&format!("/keys/K//{operation}"), given("RSA-OAEP", PLAIN)).await;
        assert_eq!(refused.error(), (403, "Forbidden", Some("KeyOperationForbidden")));
    }
}

#[tokio::test]
async fn what_is_encrypted_with_the_public_key_elsewhere_is_decrypted() {
    let client = start().await;
    let key = create(&client, "k").await;
    let part = |name: &str| BASE64URL_NOPAD.decode(key["key"][name].as_str().unwrap().as_bytes()).unwrap();
    let public: PublicEncryptingKey = PublicKeyComponents { n: part("n"), e: part("e") }.try_into().unwrap();
    let public = OaepPublicEncryptingKey::new(public).unwrap();
    let mut out = vec![0; public.ciphertext_size()];
    public.encrypt(&OAEP_SHA256_MGF1SHA256, PLAIN, &mut out, None).unwrap();
    assert_eq!(bytes(&client.post("/keys/k//decrypt", given("RSA-OAEP-256", &out)).await.ok()), PLAIN);
    let encrypted = client.post("/keys/k//encrypt", given("RSA-OAEP-256", b"")).await.ok();
    assert_eq!(bytes(&client.post("/keys/k//decrypt", given("RSA-OAEP-256", &bytes(&encrypted))).await.ok()), b"");
}

#[tokio::test]
async fn limits_of_keys_and_their_use_are_checked() {
    let client = start().await;
    for wrong in [
        json!({}),
        json!({ "kty": "EC" }),
        json!({ "kty": "RSA-HSM" }),
        json!({ "kty": "RSA", "key_size": 1024 }),
        json!({ "kty": "RSA", "public_exponent": 3 }),
        json!({ "kty": "RSA", "key_ops": ["explode"] }),
        json!({ "kty": "RSA", "attributes": { "exportable": true } }),
    ] {
        assert_eq!(client.post("/keys/k/create", wrong.clone()).await.error().0, 400, "{wrong}");
    }
    create(&client, "k").await;
    for wrong in [
        json!({}),
        json!({ "alg": "RSA-OAEP-256" }),
        given("RSA1_5", PLAIN),
        given("RSA-OAEP-256", &[0; 191]),
        json!({ "alg": "RSA-OAEP-256", "value": "*" }),
    ] {
        assert_eq!(client.post("/keys/k//wrapkey", wrong.clone()).await.error().0, 400, "{wrong}");
    }
    assert_eq!(client.post("/keys/k//wrapkey", given("RSA-OAEP-256", &[0; 190])).await.status, 200);
    for len in [0, 255, 257] {
        assert_eq!(client.post("/keys/k//unwrapkey", given("RSA-OAEP", &vec![0; len])).await.error().0, 400, "{len}");
    }
    assert_eq!(client.post("/keys/none//wrapkey", given("RSA-OAEP", PLAIN)).await.error(), (404, "KeyNotFound", None));
    assert_eq!(client.post("/keys/k/ab/wrapkey", given("RSA-OAEP", PLAIN)).await.error().0, 404);
    assert_eq!(client.get("/keys/none").await.error(), (404, "KeyNotFound", None));
}

#[tokio::test]
async fn disabled_expired_and_future_keys_are_refused_as_azure_does() {
    let client = start().await;
    create(&client, "k").await;
    let wrapped = bytes(&client.post("/keys/k//wrapkey", given("RSA-OAEP", PLAIN)).await.ok());
    for attributes in [json!({ "exp": 1000 }), json!({ "exp": 4_000_000_000_u64, "nbf": 4_000_000_000_u64 })] {
        client.patch("/keys/k/", json!({ "attributes": attributes })).await.ok();
        for operation in ["wrapkey", "encrypt"] {
            let refused = client.post(&format!("/keys/k//{operation}"), given("RSA-OAEP", PLAIN)).await;
            assert_eq!(refused.error(), (403, "Forbidden", Some("KeyNotCurrent")));
        }
        assert_eq!(bytes(&client.post("/keys/k//unwrapkey", given("RSA-OAEP", &wrapped)).await.ok()), PLAIN);
    }
    let patched = client
        .patch("/keys/k/", json!({ "attributes": { "enabled": false }, "key_ops": ["decrypt", "unwrapKey"] }))
        .await
        .ok();
    assert_eq!(patched["key"]["key_ops"], json!(["decrypt", "unwrapKey"]));
    for operation in ["decrypt", "unwrapkey", "wrapkey"] {
        let refused = client.post(&format!("/keys/k//{operation}"), given("RSA-OAEP", &wrapped)).await;
        assert_eq!(refused.error(), (403, "Forbidden", Some("KeyDisabled")));
    }
    assert_eq!(client.get("/keys/k").await.status, 200, "its public part is still shown");
}

#[tokio::test]
async fn a_rotated_key_has_a_new_version_and_the_old_one_unwraps() {
    let client = start().await;
    let first = client
        .post("/keys/k/create", json!({ "kty": "RSA", "key_ops": ["wrapKey", "unwrapKey"], "tags": { "a": "b" } }))
        .await
        .ok();
    let wrapped = bytes(&client.post("/keys/k//wrapkey", given("RSA-OAEP", PLAIN)).await.ok());
    let second = client.post("/keys/k/rotate", Value::Null).await.ok();
    assert_ne!(first["key"]["n"], second["key"]["n"]);
    assert_eq!((&first["key"]["key_ops"], &first["tags"]), (&second["key"]["key_ops"], &second["tags"]));
    assert_eq!(client.get("/keys/k").await.ok(), second);
    let path = format!("/keys/k/{}/unwrapkey", version(&first));
    assert_eq!(bytes(&client.post(&path, given("RSA-OAEP", &wrapped)).await.ok()), PLAIN);
    assert_eq!(client.post("/keys/k//unwrapkey", given("RSA-OAEP", &wrapped)).await.error().0, 400);
    assert_eq!(client.get("/keys/k/versions").await.ok()["value"].as_array().unwrap().len(), 2);
    assert_eq!(client.get("/keys").await.ok()["value"][0]["kid"], format!("{}/keys/k", client.0.base_url()));
    assert_eq!(client.post("/keys/none/rotate", Value::Null).await.error().0, 404);
}

#[tokio::test]
async fn a_rotation_policy_is_kept_and_carried_out() {
    let clock = Arc::new(ManualClock::new());
    let client = Client(builder().clock(Arc::clone(&clock) as _).start().await.unwrap());
    let first = create(&client, "k").await;
    assert_eq!(client.get("/keys/k/rotationpolicy").await.ok()["lifetimeActions"], json!([]));
    let policy = json!({
        "lifetimeActions": [{ "trigger": { "timeAfterCreate": "P30D" }, "action": { "type": "Rotate" } }],
        "attributes": { "expiryTime": "P60D" },
    });
    let set = client.put("/keys/k/rotationpolicy", policy.clone()).await.ok();
    assert_eq!(
        (&set["lifetimeActions"], &set["attributes"]["expiryTime"]),
        (&policy["lifetimeActions"], &json!("P60D"))
    );
    assert_eq!(set["id"], format!("{}/keys/k/rotationpolicy", client.0.base_url()));
    assert_eq!(client.get("/keys/k/rotationpolicy").await.ok(), set);

    clock.advance(Duration::from_secs(30 * 86_400 - 1));
    assert_eq!(client.get("/keys/k").await.ok(), first);
    clock.advance(Duration::from_secs(1));
    let second = client.get("/keys/k").await.ok();
    assert_ne!(version(&first), version(&second));
    let attributes = &second["attributes"];
    assert_eq!(attributes["exp"].as_i64().unwrap() - attributes["created"].as_i64().unwrap(), 60 * 86_400);
    assert_eq!(client.get("/keys/k").await.ok(), second, "once");
    assert_eq!(
        client.put("/keys/k/rotationpolicy", json!({ "attributes": { "expiryTime": "soon" } })).await.error().0,
        400
    );
    assert_eq!(client.put("/keys/none/rotationpolicy", json!({})).await.error().0, 404);
}

#[tokio::test]
async fn keys_are_deleted_recovered_purged_and_restored() {
    let client = start().await;
    let key = create(&client, "k").await;
    let wrapped = bytes(&client.post("/keys/k//wrapkey", given("RSA-OAEP", PLAIN)).await.ok());
    let backup = client.post("/keys/k/backup", Value::Null).await.ok();
    let deleted = client.delete("/keys/k").await.ok();
    assert_eq!(deleted["recoveryId"], format!("{}/deletedkeys/k", client.0.base_url()));
    assert_eq!(client.get("/deletedkeys/k").await.ok()["key"], key["key"]);
    assert_eq!(client.get("/deletedkeys").await.ok()["value"].as_array().unwrap().len(), 1);
    assert_eq!(client.post("/keys/k//unwrapkey", given("RSA-OAEP", &wrapped)).await.error().0, 404);
    let taken = client.post("/keys/k/create", json!({ "kty": "RSA" })).await;
    assert_eq!(taken.error(), (409, "Conflict", Some("ObjectIsDeletedButRecoverable")));
    client.post("/deletedkeys/k/recover", Value::Null).await.ok();
    assert_eq!(client.get("/keys/k").await.ok(), key);

    client.delete("/keys/k").await.ok();
    assert_eq!(client.delete("/deletedkeys/k").await.status, 204);
    assert_eq!(client.post("/keys/restore", backup).await.ok()["key"], key["key"]);
    assert_eq!(bytes(&client.post("/keys/k//unwrapkey", given("RSA-OAEP", &wrapped)).await.ok()), PLAIN);
}

/// A private key as a JWK, taken apart from its PKCS #8 form.
fn jwk() -> Value {
    let pair = KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let der = pair.as_der().unwrap();
    // PrivateKeyInfo: version, algorithm, then RSAPrivateKey within an octet string (RFC 5208, RFC 8017 A.1.2).
    let info = elements(&elements(der.as_ref())[0]);
    let numbers = elements(&elements(&info[2])[0]);
    let text = |at: usize| {
        let number: &[u8] = &numbers[at];
        BASE64URL_NOPAD.encode(number.strip_prefix(&[0]).unwrap_or(number))
    };
    let names = ["n", "e", "d", "p", "q", "dp", "dq", "qi"];
    let parts = names.iter().enumerate().map(|(at, name)| ((*name).to_owned(), json!(text(at + 1))));
    let mut jwk = Value::Object(parts.collect());
    jwk["kty"] = "RSA".into();
    jwk
}

/// The contents of DER elements, one after the other.
fn elements(mut der: &[u8]) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    while let [_, len, rest @ ..] = der {
        let (len, rest) = if *len < 128 {
            (usize::from(*len), rest)
        } else {
            let (head, rest) = rest.split_at(usize::from(len - 128));
            (head.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)), rest)
        };
        out.push(rest[..len].to_vec());
        der = &rest[len..];
    }
    out
}

#[tokio::test]
async fn a_key_is_imported() {
    let client = start().await;
    let jwk = jwk();
    let key = client.put("/keys/k", json!({ "key": jwk, "tags": { "a": "b" } })).await.ok();
    assert_eq!((&key["key"]["n"], &key["tags"]["a"]), (&jwk["n"], &json!("b")));
    let wrapped = client.post("/keys/k//wrapkey", given("RSA-OAEP-256", PLAIN)).await.ok();
    assert_eq!(bytes(&client.post("/keys/k//unwrapkey", given("RSA-OAEP-256", &bytes(&wrapped))).await.ok()), PLAIN);

    let mut swapped = jwk.clone();
    swapped["dp"] = jwk["dq"].clone();
    let mut short = jwk.clone();
    short["n"] = json!("AQAB");
    let mut public = jwk.clone();
    public.as_object_mut().unwrap().remove("d");
    for wrong in [
        json!({ "key": swapped }),
        json!({ "key": short }),
        json!({ "key": public }),
        json!({}),
        json!({ "key": jwk, "Hsm": true }),
    ] {
        assert_eq!(client.put("/keys/k", wrong).await.error().0, 400);
    }
}
