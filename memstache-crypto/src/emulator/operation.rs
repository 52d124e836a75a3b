//! The operations of the two planes.

/// What a call asks for: the operations of Key Vault's REST interface that the emulator knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// `PUT /secrets/{name}`
    SetSecret,
    /// `GET /secrets/{name}/{version}`
    GetSecret,
    /// `PATCH /secrets/{name}/{version}`
    UpdateSecret,
    /// `GET /secrets`
    ListSecrets,
    /// `GET /secrets/{name}/versions`
    ListSecretVersions,
    /// `DELETE /secrets/{name}`
    DeleteSecret,
    /// `POST /secrets/{name}/backup`
    BackupSecret,
    /// `POST /secrets/restore`
    RestoreSecret,
    /// `GET /deletedsecrets/{name}`
    GetDeletedSecret,
    /// `GET /deletedsecrets`
    ListDeletedSecrets,
    /// `POST /deletedsecrets/{name}/recover`
    RecoverSecret,
    /// `DELETE /deletedsecrets/{name}`
    PurgeSecret,
    /// `POST /keys/{name}/create`
    CreateKey,
    /// `PUT /keys/{name}`
    ImportKey,
    /// `GET /keys/{name}/{version}`
    GetKey,
    /// `PATCH /keys/{name}/{version}`
    UpdateKey,
    /// `GET /keys`
    ListKeys,
    /// `GET /keys/{name}/versions`
    ListKeyVersions,
    /// `DELETE /keys/{name}`
    DeleteKey,
    /// `POST /keys/{name}/backup`
    BackupKey,
    /// `POST /keys/restore`
    RestoreKey,
    /// `GET /deletedkeys/{name}`
    GetDeletedKey,
    /// `GET /deletedkeys`
    ListDeletedKeys,
    /// `POST /deletedkeys/{name}/recover`
    RecoverKey,
    /// `DELETE /deletedkeys/{name}`
    PurgeKey,
    /// `POST /keys/{name}/rotate`
    RotateKey,
    /// `GET /keys/{name}/rotationpolicy`
    GetRotationPolicy,
    /// `PUT /keys/{name}/rotationpolicy`
    SetRotationPolicy,
    /// `POST /keys/{name}/{version}/encrypt`
    Encrypt,
    /// `POST /keys/{name}/{version}/decrypt`
    Decrypt,
    /// `POST /keys/{name}/{version}/wrapkey`
    WrapKey,
    /// `POST /keys/{name}/{version}/unwrapkey`
    UnwrapKey,
}

impl Operation {
    /// How many operations there are.
    pub(super) const COUNT: usize = Self::UnwrapKey as usize + 1;

    /// Whether it works on keys rather than secrets.
    pub(super) fn is_of_keys(self) -> bool {
        self as usize >= Self::CreateKey as usize
    }
}
