"""Microsoft's Python SDK judges the emulator: python judge.py VAULT_URL CERTIFICATE

Each step is an assertion; the last line says how many steps there were.
"""

import sys
import time

from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.keyvault.keys import KeyClient, KeyOperation, KeyRotationLifetimeAction, KeyRotationPolicy, KeyRotationPolicyAction
from azure.keyvault.keys.crypto import CryptographyClient, EncryptionAlgorithm, KeyWrapAlgorithm
from azure.keyvault.secrets import SecretClient

STEPS = 0


def check(what, condition):
    global STEPS
    STEPS += 1
    if not condition:
        sys.exit(f"judge: failed: {what}")


def fails(what, error, call):
    try:
        call()
    except error as found:
        check(what, True)
        return found
    sys.exit(f"judge: did not fail: {what}")


class Token:
    def get_token(self, *scopes, **_):
        return AccessToken("judge", int(time.time()) + 3600)


def secrets(client):
    first = client.set_secret("judge", "one", content_type="text/plain", tags={"a": "b"})
    check("a set secret comes back", (first.value, first.properties.tags) == ("one", {"a": "b"}))
    check("a secret is read", client.get_secret("judge").value == "one")
    second = client.set_secret("judge", "two")
    check("a second version is the newest", client.get_secret("judge").value == "two")
    old = client.get_secret("judge", first.properties.version)
    check("the first version is kept", old.value == "one" and old.properties.content_type == "text/plain")
    versions = {item.version for item in client.list_properties_of_secret_versions("judge")}
    check("both versions are listed", versions == {first.properties.version, second.properties.version})
    updated = client.update_secret_properties("judge", enabled=False)
    check("a secret is disabled", updated.enabled is False)
    refused = fails("a disabled secret is refused", HttpResponseError, lambda: client.get_secret("judge"))
    check("with 403", refused.status_code == 403)
    client.update_secret_properties("judge", enabled=True)

    for at in range(30):
        client.set_secret(f"page-{at:02}", "v")
    names = [item.name for item in client.list_properties_of_secrets()]
    check("pages are walked", names == ["judge"] + [f"page-{at:02}" for at in range(30)])

    backup = client.backup_secret("judge")
    deleted = client.begin_delete_secret("judge").result()
    check("a deleted secret says when it is purged", deleted.scheduled_purge_date > deleted.deleted_date)
    fails("a deleted secret is not found", ResourceNotFoundError, lambda: client.get_secret("judge"))
    fails("its name is taken", ResourceExistsError, lambda: client.set_secret("judge", "three"))
    check("it is listed", [item.name for item in client.list_deleted_secrets()] == ["judge"])
    check("it is shown", client.get_deleted_secret("judge").name == "judge")
    recovered = client.begin_recover_deleted_secret("judge").result()
    check("it is recovered", recovered.name == "judge" and client.get_secret("judge").value == "two")
    client.begin_delete_secret("judge").wait()
    client.purge_deleted_secret("judge")
    fails("it is purged", ResourceNotFoundError, lambda: client.get_deleted_secret("judge"))
    check("it is restored", client.restore_secret_backup(backup).name == "judge" and client.get_secret("judge").value == "two")
    fails("a name has limits", HttpResponseError, lambda: client.set_secret("a_b", "v"))


def keys(client, options):
    operations = [KeyOperation.wrap_key, KeyOperation.unwrap_key, KeyOperation.encrypt, KeyOperation.decrypt]
    key = client.create_rsa_key("judge", size=3072, key_operations=operations)
    check("a key is made", key.key_type == "RSA" and len(key.key.n) == 384 and set(key.key_operations) == set(operations))
    check("it is read", client.get_key("judge").id == key.id)
    secret = bytes(range(32))
    for algorithm in (KeyWrapAlgorithm.rsa_oaep, KeyWrapAlgorithm.rsa_oaep_256):
        # With the whole key, the SDK wraps on this machine; with its address alone, the vault does it.
        for given in (key, key.id):
            crypto = CryptographyClient(given, Token(), **options)
            wrapped = crypto.wrap_key(algorithm, secret).encrypted_key
            check(f"{algorithm} unwraps", crypto.unwrap_key(algorithm, wrapped).key == secret)
    crypto = CryptographyClient(key.id, Token(), **options)
    sealed = crypto.encrypt(EncryptionAlgorithm.rsa_oaep_256, b"text").ciphertext
    check("it decrypts", crypto.decrypt(EncryptionAlgorithm.rsa_oaep_256, sealed).plaintext == b"text")
    damaged = bytes([sealed[0] ^ 1]) + sealed[1:]
    refused = fails("damage is refused", HttpResponseError, lambda: crypto.decrypt(EncryptionAlgorithm.rsa_oaep_256, damaged))
    check("with 400", refused.status_code == 400)

    rotated = client.rotate_key("judge")
    check("it rotates", rotated.properties.version != key.properties.version and client.get_key("judge").id == rotated.id)
    check("both versions are listed", len(list(client.list_properties_of_key_versions("judge"))) == 2)
    check("the old version unwraps", crypto.decrypt(EncryptionAlgorithm.rsa_oaep_256, sealed).plaintext == b"text")
    action = KeyRotationLifetimeAction(KeyRotationPolicyAction.rotate, time_after_create="P90D")
    policy = KeyRotationPolicy(lifetime_actions=[action], expires_in="P120D")
    client.update_key_rotation_policy("judge", policy)
    check("a policy is kept", client.get_key_rotation_policy("judge").expires_in == "P120D")
    updated = client.update_key_properties("judge", enabled=False, tags={"a": "b"})
    check("it is disabled", updated.properties.enabled is False and updated.properties.tags == {"a": "b"})
    newest = CryptographyClient(rotated.id, Token(), **options)
    fails("a disabled key is refused", HttpResponseError, lambda: newest.unwrap_key(KeyWrapAlgorithm.rsa_oaep, bytes(384)))
    check("it is listed", [item.name for item in client.list_properties_of_keys()] == ["judge"])

    backup = client.backup_key("judge")
    client.begin_delete_key("judge").wait()
    fails("a deleted key is not found", ResourceNotFoundError, lambda: client.get_key("judge"))
    check("it is listed as deleted", [item.name for item in client.list_deleted_keys()] == ["judge"])
    client.begin_recover_deleted_key("judge").wait()
    check("it is recovered", client.get_key("judge").id == rotated.id)
    client.begin_delete_key("judge").wait()
    client.purge_deleted_key("judge")
    fails("it is purged", ResourceNotFoundError, lambda: client.get_deleted_key("judge"))
    check("it is restored", client.restore_key_backup(backup).id == rotated.id)


def main():
    url, certificate = sys.argv[1:]
    # The vault is not below vault.azure.net here, and its certificate is its own.
    options = {"connection_verify": certificate, "verify_challenge_resource": False}
    secrets(SecretClient(url, Token(), **options))
    keys(KeyClient(url, Token(), **options), options)
    print(f"judge: {STEPS} steps passed")


main()
