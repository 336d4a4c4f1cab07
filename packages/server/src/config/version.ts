/** The version of etcd that this program behaves as, and that members, clients and tools are told. */
export const COMPAT_VERSION = '3.5.33'
/** The cluster version that goes with it. */
export const COMPAT_CLUSTER_VERSION = '3.5.0'
/** The oldest cluster version that a member of this version may join. */
export const MIN_CLUSTER_VERSION = '3.0.0'
/** The version of this program itself. */
export const OWN_VERSION = '0.1.0'

/** This program, where etcd names the commit that it was built from. */
export const BUILD_ID = `etcd-ts ${OWN_VERSION}`
/** The runtime, where etcd names Go's version. */
export const RUNTIME_VERSION = `Node.js ${process.version}`

const systems: Readonly<Record<string, string>> = { win32: 'windows', sunos: 'solaris' }
const architectures: Readonly<Record<string, string>> = {
  x64: 'amd64',
  ia32: '386',
  ppc64: 'ppc64le',
  mips: 'mips',
}

/** Operating system and processor in Go's names, as in `linux/amd64`. */
export function platformName(): string {
  const system = systems[process.platform] ?? process.platform
  return `${system}/${architectures[process.arch] ?? process.arch}`
}

/** What `etcd --version` prints: etcd's four lines. */
export function versionText(): string {
  return [
    `etcd Version: ${COMPAT_VERSION}`,
    `Git SHA: ${BUILD_ID}`,
    `Go Version: ${RUNTIME_VERSION}`,
    `Go OS/Arch: ${platformName()}`,
    '',
  ].join('\n')
}
