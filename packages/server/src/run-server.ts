import { importBbolt, openLmdbBackend } from '@etcd-ts/backend'
import { systemClock, systemDisk, systemRandom } from '@etcd-ts/platform'
import {
  COMPAT_VERSION,
  OWN_VERSION,
  RUNTIME_VERSION,
  type ServerConfig,
  defaultLogSettings,
  parseServerArguments,
  platformName,
} from './config/index.ts'
import { withSelfSignedCertificates } from './listen/self-signed.ts'
import { peerTlsOf } from './listen/tls.ts'
import { type RootLogger, createLogger, writeNotes } from './log/index.ts'
import { Member } from './member.ts'
import { createMetrics } from './metrics/index.ts'
import { HttpPeerTransport } from './peer/http-peer-transport.ts'
import { systemPeerHttp } from './peer/system-peer-http.ts'
import { Frontend, openListeners } from './serve.ts'

/** The oldest release whose clusters this one can be in. */
const MIN_CLUSTER_VERSION = '3.0.0'

export interface RunServerOptions {
  /** Called once clients are answered, with the addresses that are served. */
  readonly onReady?: (addresses: readonly string[]) => void
}

/**
 * The `etcd` program: reads its arguments, runs a member until a signal comes, and exits.
 *
 * @param argv without the program's name
 */
export async function runServer(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  options: RunServerOptions = {},
): Promise<void> {
  const parsed = parseServerArguments(argv, env, (path) =>
    Buffer.from(systemDisk.readFile(path)).toString('utf8'),
  )
  if (parsed.kind === 'exit') {
    const logger = createLogger(defaultLogSettings, systemClock, 'etcdmain')
    writeNotes(logger, parsed.notes)
    logger.close()
    process.stdout.write(parsed.stdout)
    process.stderr.write(parsed.stderr)
    process.exitCode = parsed.code
    return
  }
  let logger: RootLogger
  try {
    logger = createLogger(parsed.config.log, systemClock, 'etcdmain')
  } catch (error) {
    logger = createLogger(defaultLogSettings, systemClock, 'etcdmain')
    logger.fatal('failed to open the log outputs', { error: textOf(error) })
    logger.close()
    process.exitCode = 1
    return
  }
  writeNotes(logger, parsed.notes)
  await runMember(parsed.config, logger, options)
}

async function runMember(config: ServerConfig, logger: RootLogger, options: RunServerOptions): Promise<void> {
  const exit = (code: number): never => {
    logger.close()
    process.exit(code)
  }
  logger.info('starting an etcd server', {
    'etcd-version': COMPAT_VERSION,
    'etcd-ts-version': OWN_VERSION,
    'runtime-version': RUNTIME_VERSION,
    platform: platformName(),
    name: config.name,
    'data-dir': config.dataDir,
    'listen-client-urls': config.listenClientUrls.map((url) => url.text),
    'advertise-client-urls': config.advertiseClientUrls.map((url) => url.text),
    'listen-peer-urls': config.listenPeerUrls.map((url) => url.text),
    'initial-cluster': config.initialCluster,
    'quota-backend-bytes': config.quotaBackendBytes,
  })
  const metrics = createMetrics({ extensive: config.extensiveMetrics })
  let member: Member
  let transport: HttpPeerTransport | undefined
  let listeners: Awaited<ReturnType<typeof openListeners>>
  try {
    const ports = { disk: systemDisk, clock: systemClock, random: systemRandom, logger }
    const secured = withSelfSignedCertificates(config, ports)
    listeners = await openListeners(secured, systemDisk)
    const peerTls = peerTlsOf(secured, systemDisk, config.discovery.srvDomain || undefined)
    member = await Member.open(config, {
      disk: systemDisk,
      clock: systemClock,
      random: systemRandom,
      logger,
      metrics,
      openBackend: openLmdbBackend,
      importBackend: importBbolt,
      peerHttp: systemPeerHttp(peerTls),
      openTransport({ memberId, clusterId, ports }) {
        transport = new HttpPeerTransport({
          memberId,
          clusterId,
          serverVersion: COMPAT_VERSION,
          minClusterVersion: MIN_CLUSTER_VERSION,
          advertisePeerUrls: config.advertisePeerUrls.map((url) => url.text).sort(),
          electionTimeoutMs: config.electionTimeoutMs,
          clock: systemClock,
          logger,
          metrics,
          tls: peerTls,
          ports,
        })
        return transport
      },
      removed: () => end(() => exit(0)),
      fatal(error) {
        logger.fatal('the member cannot go on', { error: textOf(error) })
        exit(1)
      },
    })
  } catch (error) {
    logger.fatal('discovery failed', { error: textOf(error) })
    return exit(1)
  }

  const frontend = new Frontend(listeners, member, config, metrics, logger)
  let stopping = false
  const end = (exitProcess: () => void): void => {
    if (stopping) return
    stopping = true
    void (async () => {
      await frontend.closeClients()
      await member.stop()
      await frontend.closePeers()
      logger.info('closed etcd server', { name: config.name })
      logger.close()
      exitProcess()
    })()
  }
  const stop = (signal: NodeJS.Signals): void => {
    logger.info('received signal; shutting down', { signal })
    end(() => endBySignal(signal))
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)

  frontend.servePeers([
    (request, response) => transport?.handle(request, response) ?? false,
    (request, response) => member.answerPeer(request, response),
  ])
  try {
    await member.run()
  } catch (error) {
    logger.fatal('failed to start the member', { error: textOf(error) })
    exit(1)
  }
  if (stopping) return
  frontend.serveClients(metrics)
  options.onReady?.(listeners.client.map((listener) => listener.address))
}

/** Ends as a program that left the signal alone would, so that a shell or supervisor sees what ended it. */
function endBySignal(signal: NodeJS.Signals): void {
  if (process.pid === 1) process.exit(0)
  process.removeAllListeners(signal)
  process.kill(process.pid, signal)
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
