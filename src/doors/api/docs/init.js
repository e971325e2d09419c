// In a file of its own, so that the page's policy can forbid inline scripts.
window.SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#reference',
  validatorUrl: null,
  deepLinking: true,
  displayRequestDuration: true,
  docExpansion: 'list',
  persistAuthorization: false,
  tagsSorter: 'alpha',
})
