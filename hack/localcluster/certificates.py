"""A certificate authority for one throw-away cluster, and what it signs.

Files below `pki/`: `ca.crt`, `server.crt`/`.key` (API server, controller
manager, scheduler, kubelet), `client.crt`/`.key` (the API server towards the
kubelet), `proxy.crt`/`.key` (towards servers behind it) and `sa.key` (signs
service-account tokens). They live as long as the cluster; the authority's own
key is not kept.
"""

import datetime as dt
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PROXY = "nightcrawler-front-proxy"
"""The name by which servers behind the API server know it."""
_LIFETIME = dt.timedelta(days=365)
_CLOCK_SKEW = dt.timedelta(hours=1)


def write(folder: Path, hosts: Sequence[str]) -> None:
    """Fill `folder` with the keys and certificates of a cluster.

    Args:
        folder: The cluster's `pki` folder; made if missing.
        hosts: Names and addresses under which the cluster's servers are reached.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority_key = _key()
    authority = _authority(authority_key)
    (folder / "ca.crt").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    _write_key(folder / "sa.key", _key())

    server = _signed("nightcrawler-cluster", ExtendedKeyUsageOID.SERVER_AUTH)
    names = x509.SubjectAlternativeName([_host(name) for name in hosts])
    server = server.add_extension(names, critical=False)
    _issue(folder / "server", server, authority, authority_key)
    client = _signed("kube-apiserver-kubelet-client", ExtendedKeyUsageOID.CLIENT_AUTH)
    _issue(folder / "client", client, authority, authority_key)
    proxy = _signed(PROXY, ExtendedKeyUsageOID.CLIENT_AUTH)
    _issue(folder / "proxy", proxy, authority, authority_key)


def _authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nightcrawler-cluster-ca")])
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        _dated(x509.CertificateBuilder())
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _signed(name: str, usage: x509.ObjectIdentifier) -> x509.CertificateBuilder:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = _dated(x509.CertificateBuilder()).subject_name(subject)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    return builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)


def _issue(
    stem: Path,
    builder: x509.CertificateBuilder,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
) -> None:
    key = _key()
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    certificate = (
        builder.issuer_name(authority.subject)
        .public_key(key.public_key())
        .add_extension(issuer_id, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    stem.with_suffix(".crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    _write_key(stem.with_suffix(".key"), key)


def _dated(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)  # noqa: TID251 - a certificate's dates are the machine's
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - _CLOCK_SKEW).not_valid_after(now + _LIFETIME)


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _write_key(file: Path, key: ec.EllipticCurvePrivateKey) -> None:
    file.touch(mode=0o600)
    form = serialization.PrivateFormat.TraditionalOpenSSL  # Kubernetes reads no other here.
    file.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
