// Makes a bench run what ships: the compiled files of dist/ instead of src/ through the test loader, which adds a call to
// every function it makes and so doubles the time of a compilation.
import { register } from 'node:module'

register('./dist-hooks.mjs', import.meta.url)
