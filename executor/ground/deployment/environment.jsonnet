// The app of apps: the other Applications of the site and their namespaces.
local values = import 'values.libsonnet';
[
  { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } }
  for namespace in values.namespaces
] + [
  {
    apiVersion: 'argoproj.io/v1alpha1',
    kind: 'Application',
    metadata: { name: application.name, namespace: values.argoNamespace },
    spec: {
      project: values.project,
      destination: { server: 'https://kubernetes.default.svc', namespace: application.namespace },
      source: {
        repoURL: values.repoURL,
        targetRevision: values.targetRevision,
        path: 'applications/' + application.name,
        directory: { jsonnet: { tlas: [{ name: 'imageTag', value: values.imageTag }] } },
      },
    },
  }
  for application in values.applications
]
