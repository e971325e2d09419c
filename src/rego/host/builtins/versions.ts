import type { SemVer } from 'semver'
import { semver } from '../libraries.ts'
import { num, type Value } from '../value.ts'
import { type Family, fail, text } from './kind.ts'

function compareVersions(a: string, b: string): Value {
  const parse = (s: string) =>
    semver().parse(s.replace(/^v/, '?')) ?? fail(`string "${s}" is not a valid SemVer`)
  return num(semver().compareBuild(withoutBuild(parse(a)), withoutBuild(parse(b))))
}
function withoutBuild(v: SemVer): SemVer {
  return new (semver().SemVer)(v.version)
}

export const versions: Family = {
  'semver.compare': (a, b) => compareVersions(text(a, 1), text(b, 2)),
  'semver.is_valid': (v) =>
    typeof v === 'string' &&
    !v.startsWith('v') &&
    semver().parse(v) !== null &&
    semver().parse(v)?.raw === v,
}
