// An application of the control system. The image tag of the cycle is a
// parameter of the Application, which the app of apps renders; revisions within
// the cycle are the application's own.
function(imageTag) (import '../../charts/csc.libsonnet')(imageTag, import 'values.libsonnet')
