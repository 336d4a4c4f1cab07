import assert from 'node:assert/strict'
import { X509Certificate, createPrivateKey, generateKeyPairSync, sign } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { type RequestListener, createServer } from 'node:http'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { type ConnectionOptions, type PeerCertificate, type TLSSocket, connect } from 'node:tls'
import { systemClock, systemDisk, systemRandom } from '@etcd-ts/platform'
import { MessageType } from '@etcd-ts/raft'
import { ServerProcess, freeAfter, makeTempDir, realServer, reservePort, skipWithout } from '@etcd-ts/testkit'
import { type ServerConfig, type TlsConfig, noTls, parseServerArguments, parseUrl } from '../config/index.ts'
import { silentLogger } from '../log/index.ts'
import { bootstrapMemberId, clusterIdOf } from '../membership/ids.ts'
import { peerErrorText } from '../peer/dial-error.ts'
import { hostFault, identityFault } from '../peer/peer-tls.ts'
import { systemPeerHttp } from '../peer/system-peer-http.ts'
import { TestMember, messageFrom } from '../peer/test-member.ts'
import { addressFault } from './client-certificate.ts'
import { Listener } from './listener.ts'
import { revokedSerials } from './revoked-serials.ts'
import { withSelfSignedCertificates } from './self-signed.ts'
import { peerListenerTls, peerTlsOf } from './tls.ts'
import { certificatePem, der, objectId, pem } from './x509.ts'

const YEAR_MS = 365 * 24 * 3600 * 1000

/** An authority, and what it has signed, as files. */
class Authority {
  readonly #key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  readonly #folder: string
  readonly #name: string
  readonly caFile: string
  #serial = 1

  constructor(context: TestContext, name: string) {
    this.#folder = makeTempDir(context, 'certs')
    this.#name = name
    this.caFile = join(this.#folder, 'ca.pem')
    writeFileSync(this.caFile, this.#certificate(name, this.#key, [], true))
  }

  /** Files of a certificate for `hosts`. */
  issue(commonName: string, hosts: readonly string[]): { certFile: string; keyFile: string; serial: number } {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const certFile = join(this.#folder, `cert-${this.#serial + 1}.pem`)
    const keyFile = join(this.#folder, `key-${this.#serial + 1}.pem`)
    writeFileSync(certFile, this.#certificate(commonName, privateKey, hosts, false))
    writeFileSync(keyFile, privateKey.export({ type: 'pkcs8', format: 'pem' }))
    return { certFile, keyFile, serial: this.#serial }
  }

  /** A revocation list with these serial numbers. */
  revoke(serials: readonly number[]): string {
    const time = der(0x17, Buffer.from('200101000000Z'))
    const entries = serials.map((serial) => der(0x30, der(0x02, Buffer.from([serial])), time))
    const algorithm = der(0x30, objectId('1.2.840.10045.4.3.2'))
    const name = der(0x30)
    const list = serials.length === 0 ? [] : [der(0x30, ...entries)]
    const fields = der(0x30, der(0x02, Buffer.from([1])), algorithm, name, time, time, ...list)
    const signature = der(0x03, Buffer.alloc(1), sign('sha256', fields, this.#key))
    const file = join(this.#folder, 'crl.pem')
    writeFileSync(file, pem('X509 CRL', der(0x30, fields, algorithm, signature)))
    return file
  }

  #certificate(
    commonName: string,
    key: ReturnType<typeof createPrivateKey>,
    hosts: readonly string[],
    isAuthority: boolean,
  ): string {
    return certificatePem({
      subject: { commonName },
      issuer: { commonName: this.#name },
      issuerKey: this.#key,
      key,
      serial: Buffer.from([++this.#serial]),
      validFromMs: Date.now() - 60_000,
      validToMs: Date.now() + YEAR_MS,
      hosts,
      isAuthority,
    })
  }
}

function configWith(peerTls: Partial<TlsConfig>, dataDir = 'unused'): ServerConfig {
  const parsed = parseServerArguments([`--data-dir=${dataDir}`], {}, () => '')
  assert.ok(parsed.kind !== 'exit')
  return { ...parsed.config, peerTls: { ...noTls, ...peerTls } }
}

/** A peer listener with HTTP behind it. */
async function serve(
  context: TestContext,
  config: ServerConfig,
  handle: RequestListener = (_, response) => void response.end('served'),
): Promise<{ url: string; rejected: string[]; listener: Listener }> {
  const listener = await Listener.open(parseUrl('https://127.0.0.1:0'), peerListenerTls(config, systemDisk))
  const server = createServer(handle)
  listener.serve((socket) => void server.emit('connection', socket))
  const rejected: string[] = []
  listener.onRejected = (error) => rejected.push(error)
  freeAfter(context, () => {
    listener.close()
    server.closeAllConnections()
  })
  return { url: `https://${listener.address}`, rejected, listener }
}

async function ask(url: string, config: ServerConfig | undefined): Promise<string> {
  const http = systemPeerHttp(config === undefined ? undefined : peerTlsOf(config, systemDisk))
  try {
    const answer = await http.request({ url: `${url}/`, timeoutMs: 5000 })
    return `${answer.status} ${answer.headers['x-etcd-tls-alert'] ?? answer.body.toString()}`
  } catch (error) {
    return peerErrorText(error)
  }
}

void test('members with certificates of one authority serve each other, and nobody else', async (context) => {
  const ours = new Authority(context, 'ours')
  const theirs = new Authority(context, 'theirs')
  const member = configWith({ ...ours.issue('a', ['127.0.0.1']), trustedCaFile: ours.caFile })
  const { url, rejected } = await serve(context, member)
  assert.equal(await ask(url, member), '200 served')
  assert.equal(await ask(url, configWith({ trustedCaFile: ours.caFile })), '401 bad certificate')
  assert.equal(rejected.at(-1), "tls: client didn't provide a certificate")
  const stranger = theirs.issue('a', ['127.0.0.1'])
  assert.equal(await ask(url, configWith({ ...stranger, trustedCaFile: ours.caFile })), '401 bad certificate')
  assert.match(rejected.at(-1) ?? '', /failed to verify client certificate/)
  assert.match(
    await ask(url, configWith({ ...stranger, trustedCaFile: theirs.caFile })),
    /self-signed certificate|unable to (verify|get)/,
  )
  assert.match(await ask(url, undefined), /self-signed certificate|unable to (verify|get)/)
  const separate = ours.issue('b', [])
  const split = { ...stranger, clientCertFile: separate.certFile, clientKeyFile: separate.keyFile }
  assert.equal(await ask(url, configWith({ ...split, trustedCaFile: ours.caFile })), '200 served')
})

void test('a server certificate has to be made out to the host that was dialled, or to the given name', async (context) => {
  const authority = new Authority(context, 'ca')
  const member = configWith({ ...authority.issue('127.0.0.1', ['other.example']), trustedCaFile: '' })
  const { url } = await serve(context, member)
  const client = { trustedCaFile: authority.caFile }
  assert.match(
    await ask(url, configWith(client)),
    /does not match certificate's altnames|not in the cert's list/,
  )
  const tls = peerTlsOf(configWith(client), systemDisk)
  assert.ok(tls !== undefined)
  const named = systemPeerHttp({ ...tls, serverName: 'other.example' })
  assert.equal((await named.request({ url: `${url}/`, timeoutMs: 5000 })).status, 200)
  const bare = configWith(authority.issue('127.0.0.1', []))
  assert.match(await ask((await serve(context, bare)).url, configWith(client)), /not valid for any names/)
})

for (const { name, rule } of [
  { name: 'common name', rule: { allowedCommonNames: ['good', 'fine'] } },
  { name: 'host name', rule: { allowedHostnames: ['good.example', 'fine.example'] } },
] as const) {
  void test(`only members of an allowed ${name} are served, and dialled`, async (context) => {
    const authority = new Authority(context, 'ca')
    const issue = (part: string): Partial<TlsConfig> => ({
      ...authority.issue(part, [`${part}.example`, '127.0.0.1']),
      trustedCaFile: authority.caFile,
    })
    const good = configWith({ ...issue('good'), ...rule, skipClientSanVerification: true })
    const bad = configWith({ ...issue('bad'), skipClientSanVerification: true })
    const { url, rejected } = await serve(context, good)
    assert.equal(await ask(url, configWith({ ...issue('fine'), ...rule })), '200 served')
    assert.equal(await ask(url, bad), '401 bad certificate')
    assert.equal(rejected.at(-1), 'client certificate authentication failed')
    const other = await serve(context, bad)
    assert.equal(await ask(other.url, good), 'client certificate authentication failed')
  })
}

void test('revoked certificates are refused', async (context) => {
  const authority = new Authority(context, 'ca')
  const server = authority.issue('server', ['127.0.0.1'])
  const good = authority.issue('good', [])
  const bad = authority.issue('bad', [])
  const crlFile = authority.revoke([bad.serial, 99])
  const trustedCaFile = authority.caFile
  const { url, rejected } = await serve(context, configWith({ ...server, trustedCaFile, crlFile }))
  assert.equal(await ask(url, configWith({ ...good, trustedCaFile })), '200 served')
  assert.equal(await ask(url, configWith({ ...bad, trustedCaFile })), '401 bad certificate')
  assert.match(rejected.at(-1) ?? '', /serial 0?[0-9A-F]+ revoked/)

  assert.deepEqual(revokedSerials(readFileSync(crlFile)), new Set([bad.serial.toString(16), '63']))
  assert.deepEqual(revokedSerials(readFileSync(authority.revoke([]))), new Set())
  for (const wrong of [
    '',
    'nonsense',
    '-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n',
    readFileSync(trustedCaFile),
  ]) {
    assert.throws(() => revokedSerials(Buffer.from(wrong)), /not a certificate revocation list/)
  }
})

const resolver = {
  reverse: (address: string) =>
    address === '10.0.0.1'
      ? Promise.resolve(['one.example.', 'a.many.example.'])
      : Promise.reject(new Error('none')),
  lookup: (name: string) =>
    name === 'two.example' ? Promise.resolve(['10.0.0.9', '10.0.0.2']) : Promise.reject(new Error('none')),
}

for (const { name, subjectaltname, address, served } of [
  { name: 'without names is served', subjectaltname: undefined, address: '10.0.0.1', served: true },
  {
    name: 'of that address is served',
    subjectaltname: 'IP Address:10.0.0.1',
    address: '10.0.0.1',
    served: true,
  },
  {
    name: 'of another address is refused',
    subjectaltname: 'IP Address:10.0.0.2',
    address: '10.0.0.1',
    served: false,
  },
  {
    name: 'of a name of the address is served',
    subjectaltname: 'DNS:one.example',
    address: '10.0.0.1',
    served: true,
  },
  {
    name: 'of names like one of the address is served',
    subjectaltname: 'DNS:*.many.example',
    address: '10.0.0.1',
    served: true,
  },
  {
    name: 'of a name with that address is served',
    subjectaltname: 'DNS:two.example',
    address: '10.0.0.2',
    served: true,
  },
  {
    name: 'of another name is refused',
    subjectaltname: 'DNS:three.example',
    address: '10.0.0.2',
    served: false,
  },
  {
    name: 'of another address but a right name is served',
    subjectaltname: 'IP Address:1.1.1.1, DNS:two.example',
    address: '10.0.0.2',
    served: true,
  },
]) {
  void test(`a client certificate ${name}`, async () => {
    const certificate = { subject: {}, ...(subjectaltname === undefined ? {} : { subjectaltname }) }
    const fault = await addressFault(certificate as unknown as PeerCertificate, address, resolver)
    assert.equal(fault === undefined, served, fault?.message)
  })
}

void test('a client certificate of another address than the one it comes from is refused, unless that is not to be checked', async (context) => {
  const authority = new Authority(context, 'ca')
  const trustedCaFile = authority.caFile
  const server = { ...authority.issue('server', ['127.0.0.1']), trustedCaFile }
  const client = configWith({ ...authority.issue('client', ['10.1.2.3']), trustedCaFile })
  assert.equal(await ask((await serve(context, configWith(server))).url, client), '401 bad certificate')
  const lenient = await serve(context, configWith({ ...server, skipClientSanVerification: true }))
  assert.equal(await ask(lenient.url, client), '200 served')
})

void test('half a handshake does not last, and alerts are told in the words of Go', async (context) => {
  const authority = new Authority(context, 'ca')
  const { url, rejected } = await serve(context, configWith(authority.issue('server', ['127.0.0.1'])))
  const [host = '', port = ''] = url.slice('https://'.length).split(':')
  const options: ConnectionOptions = { host, port: Number(port), rejectUnauthorized: false }
  const failure = (socket: TLSSocket): Promise<Error> =>
    new Promise((resolve) => socket.once('error', resolve))
  const failed = await failure(connect({ ...options, ALPNProtocols: ['nonsense'] }))
  assert.equal(peerErrorText(failed), 'remote error: tls: no application protocol')
  const old = await failure(
    connect({ ...options, minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }),
  )
  assert.ok(old instanceof Error)
  assert.ok(rejected.length >= 1)
})

void test('self-signed certificates are made once, are right, and are enough for members that have them', async (context) => {
  const dataDir = join(makeTempDir(context, 'data'), 'd')
  const ports = { disk: systemDisk, clock: systemClock, random: systemRandom, logger: silentLogger }
  const asked = {
    ...configWith({ auto: true }, dataDir),
    listenPeerUrls: [
      parseUrl('https://127.0.0.1:1'),
      parseUrl('https://[::1]:2'),
      parseUrl('https://peer.example:3'),
    ],
  }
  const config = withSelfSignedCertificates(asked, ports)
  const certificate = new X509Certificate(readFileSync(config.peerTls.certFile))
  assert.match(
    certificate.subjectAltName ?? '',
    /^IP Address:127\.0\.0\.1, IP Address:0:0:0:0:0:0:0:1, DNS:peer\.example$/,
  )
  assert.equal(certificate.subject, 'O=etcd')
  assert.ok(certificate.verify(certificate.publicKey))
  assert.ok(certificate.checkPrivateKey(createPrivateKey(readFileSync(config.peerTls.keyFile))))
  const lastsMs = Date.parse(certificate.validTo) - Date.parse(certificate.validFrom)
  assert.equal(lastsMs, YEAR_MS)
  const again = withSelfSignedCertificates(asked, ports)
  assert.deepEqual(readFileSync(again.peerTls.certFile), Buffer.from(certificate.toString()))
  assert.equal(config.clientTls.auto, false)

  const other = withSelfSignedCertificates(
    { ...asked, dataDir: join(makeTempDir(context, 'data'), 'd') },
    ports,
  )
  const { url } = await serve(context, config)
  assert.equal(await ask(url, other), '200 served')
})

void test('the names of a certificate are judged as etcd judges them', () => {
  const certificate = (subject: unknown, subjectaltname?: string): PeerCertificate =>
    ({ subject, ...(subjectaltname === undefined ? {} : { subjectaltname }) }) as unknown as PeerCertificate
  const identity = { allowedCommonNames: ['a'], allowedHostnames: [] }
  assert.equal(identityFault(identity, certificate({ CN: 'a' })), undefined)
  for (const subject of [{ CN: ['a', 'b'] }, { CN: 'A' }, {}, undefined]) {
    assert.match(
      identityFault(identity, certificate(subject))?.message ?? '',
      /^client certificate authentication failed$/,
    )
  }
  assert.equal(hostFault('a.b.example', certificate({ CN: 'x' }, 'DNS:*.b.example')), undefined)
  assert.notEqual(hostFault('a.example', certificate({ CN: 'a.example' })), undefined)
})

void test('two members talk over TLS', async (context) => {
  const authority = new Authority(context, 'ca')
  const members = await Promise.all(
    [1n, 2n].map(async (id) => {
      const config = configWith({
        ...authority.issue(String(id), ['127.0.0.1']),
        trustedCaFile: authority.caFile,
      })
      const tls = peerTlsOf(config, systemDisk)
      const member = await TestMember.start(context, id, { tls })
      const { url } = await serve(context, config, (request, response) => {
        if (!member.transport.handle(request, response)) response.writeHead(404).end()
      })
      return { member, url }
    }),
  )
  const [a, b] = members
  assert.ok(a !== undefined && b !== undefined)
  a.member.transport.addPeer(2n, [b.url])
  b.member.transport.addPeer(1n, [a.url])
  await Promise.all(
    members.map(({ member }) => member.untilLogged('established TCP streaming connection', 4)),
  )
  const append = { ...messageFrom(1n, 2n, MessageType.MsgApp), logTerm: 1 }
  append.entries = [{ type: 0, term: 1, index: 1, data: Buffer.alloc(1_000_000, 7) }]
  a.member.transport.send([append, messageFrom(1n, 2n, MessageType.MsgHeartbeat)])
  await b.member.changed.until(() => b.member.received.length === 2)
  b.member.transport.removePeer(1n)
  b.member.transport.addRemote(1n, [a.url])
  b.member.transport.send([messageFrom(2n, 1n, MessageType.MsgAppResp)])
  await a.member.changed.until(() => a.member.received.length > 0)
})

void test('a member with a bad certificate is told so in its log', async (context) => {
  const authority = new Authority(context, 'ca')
  const trustedCaFile = authority.caFile
  const good = configWith({
    ...authority.issue('good', ['127.0.0.1']),
    trustedCaFile,
    allowedCommonNames: ['good'],
  })
  const { url } = await serve(context, good)
  const bad = configWith({ ...authority.issue('bad', ['127.0.0.1']), trustedCaFile })
  const member = await TestMember.start(context, 1n, { tls: peerTlsOf(bad, systemDisk) })
  member.transport.addPeer(2n, [url])
  await member.untilLogged('remote error: tls: bad certificate')
})

const program = realServer()

void test('a real member talks to us over TLS', { skip: skipWithout(program, 'etcd') }, async (context) => {
  assert.ok(program !== undefined)
  const authority = new Authority(context, 'ca')
  const trustedCaFile = authority.caFile
  const config = configWith({
    ...authority.issue('ours', ['127.0.0.1']),
    trustedCaFile,
    allowedCommonNames: ['real'],
  })
  let member: TestMember | undefined
  const { url } = await serve(context, config, (request, response) => {
    if (member?.transport.handle(request, response) !== true) response.writeHead(404).end()
  })
  const ports = { client: await reservePort(context), peer: await reservePort(context) }
  const realUrl = `https://127.0.0.1:${ports.peer}`
  const token = 'etcd-ts-test'
  const [memberId, realId] = [bootstrapMemberId([url], token), bootstrapMemberId([realUrl], token)]
  member = await TestMember.start(context, memberId, {
    clusterId: clusterIdOf([memberId, realId]),
    advertisePeerUrls: [url],
    tls: peerTlsOf(config, systemDisk),
  })
  member.transport.addPeer(realId, [realUrl])
  const { certFile, keyFile } = authority.issue('real', ['127.0.0.1'])
  const real = await ServerProcess.create(context, {
    program,
    ports,
    flags: [
      `--listen-peer-urls=${realUrl}`,
      `--peer-cert-file=${certFile}`,
      `--peer-key-file=${keyFile}`,
      `--peer-trusted-ca-file=${trustedCaFile}`,
      '--peer-client-cert-auth',
      '--peer-cert-allowed-cn=ours',
    ],
    cluster: { initialCluster: `m1=${realUrl},ours=${url}`, token, advertisePeerUrl: realUrl },
  })
  real.spawn()
  const { changed, received } = member
  await changed.until(() => received.some((message) => message.type === MessageType.MsgVote))
  await member.untilLogged('established TCP streaming connection', 4)
  await real.kill()
})
