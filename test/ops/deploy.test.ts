import { spawnSync } from 'node:child_process'
import { expect } from 'chai'
import fs from 'node:fs'
import path from 'node:path'
import { parse, parseAllDocuments } from 'yaml'

const ROOT = path.resolve(import.meta.dirname, '..', '..')
const read = (file: string): string => fs.readFileSync(path.join(ROOT, file), 'utf8')

interface Document {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string }
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly spec: any
}

const documents = (text: string): Document[] =>
  parseAllDocuments(text).map((one) => one.toJS() as Document)

const manifests = (): Document[] =>
  fs
    .readdirSync(path.join(ROOT, 'ops', 'kubernetes'))
    .filter((name) => name.endsWith('.yaml') && name !== 'kustomization.yaml')
    .flatMap((name) => documents(read(`ops/kubernetes/${name}`)))

const manifest = (kind: string): Document => {
  const found = manifests().find((one) => one.kind === kind)
  if (!found) throw new Error(`no ${kind}`)
  return found
}

describe('the image', () => {
  it('is built of a pinned base, runs as nobody, and is checked where it listens', () => {
    const text = read('Dockerfile')
    expect(text).to.match(/^ARG NODE_IMAGE=node:\d+\.\d+\.\d+-alpine$/m)
    expect(text.match(/^FROM \$\{NODE_IMAGE\}/gm)).to.have.length(2)
    expect(text).to.match(/^USER node$/m)
    expect(text).to.include('HEALTHCHECK').and.include('org.opencontainers.image.licenses')
    // What it copies is let through to it.
    const taken = read('.dockerignore')
    for (const [, names = ''] of text.matchAll(/^COPY (?!--from)(.*) \S+$/gm)) {
      for (const name of names.split(' ')) {
        expect(fs.existsSync(path.join(ROOT, name)), name).to.equal(true)
        expect(taken.split('\n')).to.include(`!${name.split('/')[0]}`)
      }
    }
  })
})

describe('docker-compose.yml', () => {
  const { services } = parse(read('docker-compose.yml'), { merge: true })

  it('has no default password, and takes none that is empty', () => {
    const text = JSON.stringify(services)
    for (const name of ['POSTGRES_PASSWORD', 'API_TOKENS']) {
      expect(text).to.include(`\${${name}:?`)
      expect(text).to.not.match(new RegExp(`\\$\\{${name}(?::?-[^}]*)?\\}`))
    }
  })

  for (const name of Object.keys(services)) {
    it(`checks, restarts, pins and hardens ${name}`, () => {
      const service = services[name]
      expect(service.healthcheck ?? (name === 'gate' && 'of the image')).to.not.equal(false)
      expect(service.restart).to.equal('unless-stopped')
      expect(service.read_only).to.equal(true)
      expect(service.security_opt).to.deep.equal(['no-new-privileges:true'])
      expect(service.image).to.match(/:-\S*\d+\.\d+|VERSION:-\d/)
      for (const port of service.ports ?? []) expect(port).to.match(/^127\.0\.0\.1:/)
    })
  }
})

describe('the Kubernetes folder', () => {
  it('has the same policies as the gate ships', () => {
    for (const [name, from] of [
      ['gate.yaml', 'policies/gate.yaml'],
      ['tools.yaml', 'policies/tools.yaml'],
      ['do_not_contact.csv', 'policies/data/do_not_contact.csv'],
    ] as const) {
      const text = read(`ops/kubernetes/policies/${name}`).replace('../../../schemas', '../schemas')
      expect(text, name).to.equal(read(from))
    }
  })

  it('selects by labels that its pods have, and mounts what it declares', () => {
    const label = { 'app.kubernetes.io/name': 'portcullis' }
    const { spec } = manifest('StatefulSet')
    expect(spec.selector.matchLabels).to.deep.equal(label)
    expect(manifest('Service').spec.selector).to.deep.equal(label)
    expect(manifest('PodDisruptionBudget').spec.selector.matchLabels).to.deep.equal(label)
    expect(manifest('NetworkPolicy').spec.podSelector.matchLabels).to.deep.equal(label)
    const volumes = [...spec.template.spec.volumes, ...spec.volumeClaimTemplates].map(
      (one) => one.name ?? one.metadata.name,
    )
    const [gate] = spec.template.spec.containers
    expect(volumes).to.have.members(gate.volumeMounts.map((one: { name: string }) => one.name))
    const { resources, configMapGenerator } = parse(read('ops/kubernetes/kustomization.yaml'))
    for (const name of resources) expect(read(`ops/kubernetes/${name}`)).to.not.equal('')
    const files = configMapGenerator[0].files.map((one: string) => one.split('=').at(-1))
    for (const name of files) expect(read(`ops/kubernetes/${name}`)).to.not.equal('')
  })

  it('runs as nobody on a root that is read-only, probes liveness and readiness apart', () => {
    const pod = manifest('StatefulSet').spec.template.spec
    const [gate] = pod.containers
    expect(pod.securityContext).to.include({ runAsNonRoot: true, runAsUser: 1000 })
    expect(gate.securityContext).to.deep.equal({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    })
    expect(pod.automountServiceAccountToken).to.equal(false)
    expect(gate.livenessProbe.httpGet.path).to.equal('/healthz')
    expect(gate.readinessProbe.httpGet.path).to.equal('/readyz')
    expect(gate.resources.limits.memory).to.match(/^\d+Mi$/)
  })

  it('is put together by kustomize with the peers of its network policy as they are written', function () {
    const { error, status, stdout, stderr } = spawnSync(
      'kubectl',
      ['kustomize', 'ops/kubernetes'],
      {
        cwd: ROOT,
        encoding: 'utf8',
      },
    )
    if (error) {
      console.log('      skipped: no kubectl on this machine')
      this.skip()
    }
    expect(status, stderr).to.equal(0)
    const policy = documents(stdout).find(({ kind }) => kind === 'NetworkPolicy')
    const peers = JSON.stringify(policy?.spec.egress)
    expect(peers).to.include('"app.kubernetes.io/name":"postgresql"')
    const kinds = documents(stdout).map(({ kind }) => kind)
    expect(kinds.filter((kind) => kind === 'ConfigMap')).to.have.length(2)
  })
})

describe('the systemd unit', () => {
  it('is one that systemd takes, and finds hardened', function () {
    const unit = path.join(ROOT, 'ops', 'systemd', 'portcullis.service')
    const { error, status, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', unit], {
      encoding: 'utf8',
    })
    if (error) {
      console.log('      skipped: no systemd-analyze on this machine')
      this.skip()
    }
    const own = stderr.split('\n').filter((line) => line.includes('portcullis.service'))
    // The program is not installed on the machine that runs the tests.
    expect(own.filter((line) => !line.includes('is not executable'))).to.deep.equal([])
    expect(status === 0 || own.length > 0, stderr).to.equal(true)
    const args = ['security', '--offline=true', '--threshold=20', unit]
    expect(spawnSync('systemd-analyze', args).status).to.equal(0)
  })
})
