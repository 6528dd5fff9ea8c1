// Package ground is the proving ground: real servers by other authors, on the
// loopback interface, for the tests. A test starts what it needs, and the
// servers are ended, by process id, with the test. All their files are in
// temporary folders.
//
// OpenSSH, InfluxDB 1.x and Redis are Debian's. etcd, kube-apiserver,
// kube-controller-manager, kube-scheduler, kwok and Argo CD are built from
// their Go modules, whose versions the nested modules below tools pin; see
// [BuildTools].
//
// Stand-ins are named as such: kwok for the kubelets, so that pods run nothing;
// podexec for the kubelet's exec, which runs commands on this machine;
// [Registry] for Confluent's schema registry; [Deployment] for Phalanx;
// [Simulator], which is the rehearsals' model, for the CSCs, LOVE, Slack and
// what a host's commands do.
package ground
