/**
 * Pinned sha256 checksums of release archives.
 *
 * Where they come from: the nats-io/nats-docker repository, whose Dockerfiles verify these very archives; 2.10.29 from
 * `2.10.x/alpine3.22/Dockerfile` there, 2.12.4 from the `2.12.x/alpine3.22/Dockerfile` of that release as recorded in the
 * build history of the official `nats:2.12.4-alpine` image and in a fork of the repository (both agree). They list Linux
 * only; every other archive is checked against the SHA256SUMS file of its release (see `release.ts`).
 */

const PINNED: ReadonlyMap<string, string> = new Map([
  ['nats-server-v2.12.4-linux-amd64.tar.gz', '92388f2e4aa1e6dea402eb173cbdb1fcb1df9a9c899cb807b91ddbb45c131b65'],
  ['nats-server-v2.12.4-linux-arm64.tar.gz', '44a6ff34eff7e8d0e1409dbac0b733cff7ecbb4f19388a4d0d3d6085d899f017'],
  ['nats-server-v2.12.4-linux-arm7.tar.gz', '67e7708005b615d1b63280c752616ff8663fa8bd3e83bb24890905b9a0a4e789'],
  ['nats-server-v2.12.4-linux-386.tar.gz', '0899515b18dcbfba3572e91ea0bf7b7577a00d102ca91be44840a8a1ad68b4d7'],
  ['nats-server-v2.12.4-linux-s390x.tar.gz', '8c084d41b8ef405c31ff75f84bb03028295001f9741724a8d0fb2c28aa0f3690'],
  ['nats-server-v2.12.4-linux-ppc64le.tar.gz', '5b073b7cdfb91b30f226a687311193ce4544700eaf69fd32df2809451e9e5fc0'],
  ['nats-server-v2.10.29-linux-amd64.tar.gz', 'e314da74a83a1d3876db8814c27eb990fe729640fd6452025b441bcede8390da'],
  ['nats-server-v2.10.29-linux-arm64.tar.gz', 'da4b27942ecfb4c5f0c54553d2e7f470ddda9d7581cfe8131b351a0e223ed401'],
  ['nats-server-v2.10.29-linux-arm7.tar.gz', 'a59e7336a32ef78b0ca8bc3e6707a5770461d3f45c4c2f96cfef263f26eaefd5'],
  ['nats-server-v2.10.29-linux-386.tar.gz', 'abc385394c19784558f7aa2f9770fe2daceb22cf95e3fa398c832590479396b0'],
  ['nats-server-v2.10.29-linux-s390x.tar.gz', 'ee821b1eae8bb98a0d4603510a41613dd15afef244261a79da33515699d1aece'],
  ['nats-server-v2.10.29-linux-ppc64le.tar.gz', '31b0063d261e5d8c59396f8a3f9298ad80b36fd4bc370ce59e5d160f55a0fe46'],
]);

export function pinnedChecksum(archive: string): string | undefined {
  return PINNED.get(archive);
}
