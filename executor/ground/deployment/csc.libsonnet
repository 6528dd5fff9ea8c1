// The Jobs of CSCs, with the labels of Phalanx' chart csc, and the ConfigMaps
// beside them. What they run is of no interest: their nodes run nothing.
function(imageTag, values)
  local labels(csc) = {
    csc: csc.label,
    'csc-name': csc.cscName,
    'csc-class': csc.cscClass,
    'csc-is-primary': 'true',
    'app.kubernetes.io/instance': values.application,
  };
  [
    {
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: { name: csc.name, namespace: csc.namespace, labels: labels(csc) },
      spec: {
        backoffLimit: 0,
        template: {
          metadata: { labels: labels(csc) },
          spec: {
            restartPolicy: 'Never',
            containers: [{ name: csc.name, image: csc.repository + ':' + (if std.objectHas(csc, 'tag') then csc.tag else imageTag + csc.revision) }],
          },
        },
      },
    }
    for csc in values.cscs
  ] + [
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: csc.name + '-' + suffix, namespace: csc.namespace },
      data: { image: csc.repository, tag: if std.objectHas(csc, 'tag') then csc.tag else csc.revision },
    }
    for csc in values.cscs
    for suffix in csc.configMaps
  ] + [
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: values.application + '-config', namespace: values.namespace },
      data: { revision: values.revision },
    },
  ]
