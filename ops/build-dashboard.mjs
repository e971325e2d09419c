// Bundles src/dashboard into dist/ui. Nothing is inlined and nothing is preloaded by script, which the pages' own policy would not let run.
import fs from 'node:fs'
import path from 'node:path'
import { build } from 'vite'

const root = path.resolve(import.meta.dirname, '..')
const dashboard = path.join(root, 'src', 'dashboard')

// A script that is no module, so that it runs before the page is drawn; an asset like the others, under a name of its own content.
function beforePaint() {
  let id
  return {
    name: 'before-paint',
    buildStart() {
      const source = fs.readFileSync(path.join(dashboard, 'before-paint.js'), 'utf8')
      id = this.emitFile({ type: 'asset', name: 'before-paint.js', source })
    },
    generateBundle: {
      order: 'post',
      handler(_options, bundle) {
        const script = `<script src="/ui/${this.getFileName(id)}"></script>\n    <title>`
        const index = bundle['index.html']
        if (!index?.source.includes('<title>')) throw new Error('index.html has no title')
        index.source = index.source.replace('<title>', script)
      },
    },
  }
}

await build({
  configFile: false,
  root: dashboard,
  base: '/ui/',
  logLevel: 'warn',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  resolve: { alias: { react: 'preact/compat', 'react-dom': 'preact/compat' } },
  plugins: [beforePaint()],
  build: {
    target: 'es2022',
    outDir: path.join(root, 'dist', 'ui'),
    emptyOutDir: true,
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
  },
})
