/**
 * An authority for one test run, and the certificates that it signs: as files, as servers and clients want them.
 */

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import forge from 'node-forge';

export type CertificateFiles = { readonly certFile: string; readonly keyFile: string };

const KEY_BITS = 2_048;
const DAY_MS = 86_400_000;

export class Authority {
  readonly caFile: string;
  readonly #folder: string;
  readonly #keys: forge.pki.rsa.KeyPair;
  readonly #certificate: forge.pki.Certificate;
  #serial = 1;

  private constructor(folder: string, name: string) {
    this.#folder = folder;
    this.caFile = join(folder, `${name}.pem`);
    this.#keys = forge.pki.rsa.generateKeyPair(KEY_BITS);
    const subject = [{ name: 'commonName', value: name }];
    this.#certificate = this.#sign(subject, subject, this.#keys.publicKey, [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, critical: true },
    ]);
  }

  static async found(folder: string, name: string): Promise<Authority> {
    await mkdir(folder, { recursive: true });
    const authority = new Authority(folder, name);
    await writeFile(authority.caFile, forge.pki.certificateToPem(authority.#certificate));
    return authority;
  }

  /** @returns the files of a new certificate that is good for these host names, as server and as client */
  async certify(name: string, hosts: readonly string[]): Promise<CertificateFiles> {
    const keys = forge.pki.rsa.generateKeyPair(KEY_BITS);
    const certificate = this.#sign(
      [{ name: 'commonName', value: name }],
      this.#certificate.subject.attributes,
      keys.publicKey,
      [
        { name: 'extKeyUsage', serverAuth: true, clientAuth: true },
        {
          name: 'subjectAltName',
          altNames: hosts.map((value) => (/^[\d.]+$/.test(value) ? { type: 7, ip: value } : { type: 2, value })),
        },
      ],
    );
    const files = { certFile: join(this.#folder, `${name}.crt`), keyFile: join(this.#folder, `${name}.key`) };
    await writeFile(files.certFile, forge.pki.certificateToPem(certificate));
    await writeFile(files.keyFile, forge.pki.privateKeyToPem(keys.privateKey), { mode: 0o600 });
    return files;
  }

  #sign(
    subject: forge.pki.CertificateField[],
    issuer: forge.pki.CertificateField[],
    publicKey: forge.pki.rsa.PublicKey,
    extensions: object[],
  ): forge.pki.Certificate {
    const certificate = forge.pki.createCertificate();
    certificate.serialNumber = String(this.#serial).padStart(2, '0');
    this.#serial += 1;
    certificate.publicKey = publicKey;
    certificate.validity.notBefore = new Date(Date.now() - DAY_MS);
    certificate.validity.notAfter = new Date(Date.now() + DAY_MS);
    certificate.setSubject(subject);
    certificate.setIssuer(issuer);
    certificate.setExtensions(extensions);
    certificate.sign(this.#keys.privateKey, forge.md.sha256.create());
    return certificate;
  }
}
