package main

// What the table below names often.
const (
	applications = "auxtel,calsys,control-system-test,envsys,obssys,simonyitel,uws"
	// The Jobs that a recovery deletes after the Watcher's: those of its application
	// class by class.
	notObssys = "auxtel,calsys,control-system-test,envsys,simonyitel,uws"
	bareMetal = "azar03,m1m3-crio-vms,m2-crio-vms01,love01,vms-data,auxtel-ill-control,flat-fiberspecred,flat-fiberspecblue"
	essHosts  = "hexrot-ess01,m2hex-ess01,m2-ess01,m2-ess02,m1m3-ess01,laser-rpi,camera-ess01,auxtel-ess01,auxtel-ess02,auxtel-lightning01"
	keptCRIOs = "crios/{m1m3-crio-ss,m1m3-crio-ts}-{stop,update,start}"
	awaited   = "crios/{m1m3-crio-ss,m1m3-crio-ts}-built"
	builds    = "builds/{m1m3-crio-ss,m1m3-crio-ts,m1m3-crio-vms,m2-crio-vms01}"
	vmsHosts  = "crios/{m1m3-crio-vms,m2-crio-vms01}"
	notVMS    = "azar03,love01,vms-data,auxtel-ill-control,flat-fiberspecred,flat-fiberspecblue"

	auxtelTracks = "testing-auxtel/{enable-atcs,on-sky,track,stop-tracking,standby}"
	auxtelImages = "testing-auxtel/{enable-latiss,housekeeping,playlist,images,ingestion}"
	maintTracks  = "testing-maintel/{enable-mtcs,home,compensation,open-dome,follow,raise-m1m3,track,stop-tracking}"
	maintImages  = "testing-maintel/{enable-lsstcam,housekeeping,playlist,images,ingestion,rubintv}"

	noOtherCSC = "summit/incremental+m1m3 base-teststand/incremental+queues" // the Watcher and the ScriptQueues alone
	withOthers = "*/incremental* !summit/incremental+m1m3 !base-teststand/incremental+queues"

	bridgesByCSU  = "summit/full+options tucson-teststand/full+enable summit/incremental+bridges"
	bridgesByTeam = "summit/full */full !*/full+* summit/incremental+camera tucson-teststand/incremental+camera"
	withBridges   = "*/full* summit/incremental+camera summit/incremental+bridges tucson-teststand/incremental+camera"

	// Where CSCs are brought to ENABLED by the site's list after a full upgrade
	// or a recovery.
	enablesAtTestStand = "tucson-teststand/full+enable tucson-teststand/recovery base-teststand/recovery"
)

// procedure says of each number what keeps it.
var procedure = []number{
	// Standing rules.
	{name: "P1", asks: "access to everything before anything starts",
		guard: "the preflight, before the first stage and before each for what that uses, and the credentials, all of which are asked for together",
		tests: []string{"executor.TestPreflight", "cmd/csu.TestScript/preflight", "executor/systems.TestMissingCredentialsAreNamedTogether", "cmd/csu.TestScript/exec-credentials"}},
	{name: "P2", asks: "consent to everything, recorded; one executor at a time",
		carried: []carrier{{"*/*", "begin/"}},
		guard:   "the consent of every stage, and the journal's lock",
		tests:   []string{"executor.TestNoConsentNoStep", "executor.TestStagesAreBarriersWithConsent", "executor.TestSecondExecutor", "executor/journal.TestSecondExecutorIsRefused"},
		holds:   everyStageAsks},
	{name: "P3", asks: "what controls hardware only with its principal",
		carried: []carrier{
			{"summit/full*", "begin/m2-closed-loop {offline,cameras-down,services-down,jobs,configuration,hosts,deploy,watch}/"},
			{"summit/full", builds + " crios/ crios/{m1m3-crio-ss,m1m3-crio-ts}-stop"},
			{"summit/incremental", "hosts/"},
			{"summit/incremental+m2", "begin/m2-closed-loop {offline,jobs,deploy}/"},
			{"summit/incremental+vms", "{offline,services-down,crios}/ builds/m1m3-crio-vms"},
			{"summit/incremental+hosts", "{offline,services-down,hosts,crios}/ builds/m2-crio-vms01"},
			{"summit/incremental+m1m3", "builds/m1m3-crio-ss crios/ crios/m1m3-crio-ss-stop"},
			{"summit/recovery", "begin/{m2-closed-loop,m2-vm} {jobs,deploy}/ m2/{enabled,closed-loop,vm} " +
				"crios/{m1m3-crio-ss,m1m3-crio-vms,m2-crio-vms01,m1m3-crio-ts} crios/{mtm1m3-0,mtm1m3ts-0}-back reboot/azar02"},
			{"tucson-teststand/full* base-teststand/full " + "summit/incremental+camera summit/incremental+bridges tucson-teststand/incremental+camera", "{offline,cameras-down}/"},
			{"tucson-teststand/full+enable summit/incremental+bridges", "watch/"},
		},
		holds: principalsAreNamed},
	{name: "P4", asks: "M2 in closed loop before the control system goes down",
		carried: []carrier{{"summit/full* summit/incremental+m2 summit/recovery", "begin/m2-closed-loop"}},
		holds:   m2BeforeAll},
	{name: "P5", asks: "MTM2 ENABLED before the Hexrot VM is rebooted",
		carried: []carrier{{"summit/recovery", "begin/m2-vm m2/{enabled,seen,closed-loop,vm}"}},
		holds:   m2BeforeTheVM},
	{name: "P6", asks: "MTM1M3TS stays ENABLED, MTM1M3 DISABLED",
		carried: []carrier{
			{"summit/full* summit/incremental*", "begin/kept enable/seen"},
			{"summit/full*", "offline/shutdown"},
			{"summit/full", awaited + " " + keptCRIOs + " crios/{mtm1m3-0,mtm1m3ts-0} crios/{mtm1m3-0,mtm1m3ts-0}-{up,seen}"},
			{"summit/incremental+m1m3", "crios/m1m3-crio-ss-{built,stop,update,start} crios/mtm1m3-0 crios/mtm1m3-0-{up,seen}"},
			{"summit/recovery", "crios/{mtm1m3-0,mtm1m3ts-0}-{back,seen} enable/seen"},
		},
		holds: protectedAreKept},

	// Send CSCs to OFFLINE.
	{name: "P7", asks: "system_wide_shutdown.py", carried: []carrier{{"*/full*", "offline/shutdown"}}, holds: shutdownIsConfigured},
	{name: "P8", asks: "the Watcher first",
		carried: []carrier{{"*/full*", "offline/shutdown"}, {"*/incremental*", "offline/watcher"}},
		holds:   watcherFirst},
	{name: "P9", asks: "the ScriptQueues last, the one that runs the script at the very end",
		carried: []carrier{{"*/full* */incremental*", "offline/queues"}},
		holds:   queuesLast},
	{name: "P10", asks: "those that did not reach OFFLINE", carried: []carrier{{"*/full*", "offline/rest"}}, holds: stragglersOneByOne},
	{name: "P11", asks: "OFFLINE is silence",
		carried: []carrier{{"*/full*", "offline/{settled,rest}"}, {"*/incremental*", "offline/watcher"}, {withOthers, "offline/cscs"}},
		guard:   "the look at heartbeats, with a witness",
		tests:   []string{"executor/internal/action.TestSilenceNeedsAWitness", "executor/internal/efd.TestSilenceNeedsAWitness", "executor/internal/efd.TestJudge"},
		holds:   offlineIsLookedAt},
	{name: "P12", asks: "LOVE is preferred, Nublado the fallback; every step can be done by hand",
		carried: []carrier{{"*/full* */incremental*", "offline/"}},
		guard:   "the text for doing it by hand that every step has, and the operator's choice of it",
		tests:   []string{"cmd/csu.TestProcedure", "executor.TestChoicesAfterFailure"},
		holds:   everyStepByHand},
	{name: "P13", asks: "the summary-state view and the dashboards",
		carried: []carrier{{"*/full* */incremental*", "offline/"}, {"*/*", "watch/ end/look"}, {"summit/incremental+index", "deploy/love-answers"}},
		guard:   "the texts, which name the view and the dashboards, and the links among the targets",
		tests:   []string{"cmd/csu.TestProcedure"},
		holds:   viewsAreNamed},
	{name: "P14", asks: "only the CSCs concerned, the Watcher and the ScriptQueues",
		carried: []carrier{{"*/incremental*", "offline/{watcher,queues}"}, {withOthers, "offline/cscs"}},
		holds:   onlyConcernedGoDown},

	// Clean up what still runs.
	{name: "P15", asks: "the camera bridges are stopped",
		carried: []carrier{
			{withBridges + " !summit/incremental+camera", "cameras-down/auxtel-mcm"},
			{"summit/full* base-teststand/full summit/incremental+camera summit/incremental+bridges", "cameras-down/lsstcam-mcm"},
			{"summit/full* tucson-teststand/full*", "cameras-down/comcam-mcm"},
		},
		holds: bridgesAreStopped},
	{name: "P16", asks: "the camera team hears that stage 1 may begin",
		carried: []carrier{{withBridges, "cameras-down/{stage-1,stage-1-heard}"}},
		holds:   stage1IsHandedOver},
	{name: "P17", asks: "the bare-metal services are stopped",
		carried: []carrier{
			{"summit/full*", "services-down/{" + bareMetal + "}"},
			{"summit/incremental", "services-down/azar03"},
			{"summit/incremental+vms", "services-down/m1m3-crio-vms"},
			{"summit/incremental+hosts", "services-down/{m2-crio-vms01,love01,vms-data}"},
		},
		holds: servicesAreStopped},
	{name: "P18", asks: "the CSC Jobs are deleted, in uws only those of OCPS",
		carried: []carrier{
			{"*/full* */recovery*", "jobs/{" + notObssys + "} deploy/love-commander"},
			{"*/full*", "jobs/obssys"},
			{"*/recovery*", "jobs/watcher jobs/obssys-{scheduler,scriptqueue}"},
			{"summit/recovery*", "jobs/obssys-gis"},
		},
		holds: allJobsAreDeleted},
	{name: "P19", asks: "Nublado's user namespaces", carried: []carrier{{"*/full*", "jobs/nublado"}}, holds: sessionsAreEnded},
	{name: "P20", asks: "the context is the site's",
		guard: "the executor, which refuses another context or API server than the plan's",
		tests: []string{"executor/systems.TestGuardRefusesAnotherCluster", "executor/internal/cluster.TestCheckTarget", "executor/internal/cluster.TestConnectTakesTheNamedContext"},
		holds: clusterIsNamed},
	{name: "P21", asks: "the Jobs concerned by csc-class, by csc-name where not the whole class is",
		carried: []carrier{
			{"*/incremental*", "jobs/{scriptqueue,watcher}"},
			{"*/incremental", "jobs/mtmount"},
			{"summit/incremental tucson-teststand/incremental+ess", "jobs/ess105"},
			{"tucson-teststand/incremental", "jobs/electrometer101"},
			{"base-teststand/incremental", "jobs/atdome"},
			{"summit/incremental+m2", "jobs/mtm2"},
			{"summit/incremental+hosts", "jobs/ess404"},
			{"summit/incremental+index", "jobs/mthexapod1"},
		},
		holds: concernedJobsAreDeleted},

	// Update the configuration.
	{name: "P22", asks: "Phalanx is merged, and Argo CD sees it",
		carried: []carrier{{"*/full* */incremental*", "configuration/merged"}},
		holds:   syncsAreShownBefore},
	{name: "P23", asks: "the checkouts on bare metal",
		carried: []carrier{
			{"summit/full*", "configuration/{azar03,tel-hw1,auxtel-ill-control,flat-fiberspecred,flat-fiberspecblue}-docker-compose-ops configuration/love01-love-integration-tools"},
			{"summit/incremental", "configuration/azar03-docker-compose-ops"},
			{"summit/incremental+hosts", "configuration/tel-hw1-docker-compose-ops configuration/love01-love-integration-tools"},
		},
		holds: checkoutsAreUpdated},

	// Schema registry.
	{name: "P24", asks: "FORWARD to NONE", carried: []carrier{{"summit/full", "schema/none"}}, holds: registryIsReleased},
	{name: "P25", asks: "and back", carried: []carrier{{"summit/full", "final/forward"}}, holds: registryGoesBack},
	{name: "P26", asks: "an incompatible upgrade is never incremental",
		guard: "the compiler, which refuses the request",
		tests: []string{"cmd/csu.TestIncompatibleIncrementalIsRefused", "cmd/csu.TestScript/compile-breaks-schema"}},

	// Deploy.
	{name: "P27", asks: "time for slow pulls",
		carried: []carrier{{"*/*", "deploy/"}},
		guard:   "the limits of the syncs, and that no step with an effect is repeated by itself",
		tests:   []string{"cmd/csu.TestProcedure", "executor.TestTimeLimitIsAsked", "executor/internal/action.TestSyncThatDoesNotSucceed"},
		holds:   syncsHaveTime},
	{name: "P28", asks: "the ESS controllers are updated",
		carried: []carrier{
			{"summit/full*", "hosts/{" + essHosts + "}-{stop,update,start} hosts/dimm"},
			{"summit/incremental", "hosts/auxtel-ess01-{stop,update,start}"},
			{"summit/incremental+hosts", "hosts/laser-rpi-{stop,update,start}"},
		},
		holds: controllersAreUpdated},
	{name: "P29", asks: "the cRIOs are updated, unless that was done",
		carried: []carrier{
			{"summit/full", builds + " crios/up " + vmsHosts + "-{built,update,start} " + awaited + " " + keptCRIOs},
			{"summit/incremental+vms", "builds/m1m3-crio-vms crios/m1m3-crio-vms-{built,update,start} crios/up"},
			{"summit/incremental+hosts", "builds/m2-crio-vms01 crios/m2-crio-vms01-{built,update,start} crios/up"},
			{"summit/incremental+m1m3", "builds/m1m3-crio-ss crios/m1m3-crio-ss-{built,stop,update,start}"},
		},
		holds: criosAreUpdated},
	{name: "P30", asks: "science-platform, then nublado", carried: []carrier{{"*/full*", "platform/{science-platform,nublado}"}}, holds: platformInOrder},
	{name: "P31", asks: "sasquatch only where asked for",
		carried: []carrier{{"tucson-teststand/full summit/full+options", "platform/{sasquatch,efd-back}"}},
		holds:   sasquatchIsAskedFor},
	{name: "P32", asks: "a small application first, then love, then the rest",
		carried: []carrier{
			{"*/full* */recovery*", "deploy/{" + applications + ",love}"},
			{"*/recovery*", "compare/look"},
		},
		holds: syncsInOrder},
	{name: "P33", asks: "only what was taken down",
		carried: []carrier{
			{"*/incremental*", "deploy/obssys"},
			{"*/incremental summit/incremental+m2 summit/incremental+index", "deploy/simonyitel"},
			{"summit/incremental summit/incremental+hosts tucson-teststand/incremental+ess", "deploy/envsys"},
			{"summit/incremental", "deploy/control-system-test"},
			{"tucson-teststand/incremental", "deploy/calsys"},
			{"base-teststand/incremental", "deploy/auxtel"},
			{"summit/incremental+index", "deploy/love"},
		},
		holds: onlyWhatWentDownIsSynced},
	{name: "P34", asks: "the bridges are started and made available",
		carried: []carrier{
			{withBridges, "watch/{available,seen}"},
			{bridgesByTeam, "watch/bridges"},
			{bridgesByCSU, "watch/auxtel-mcm"},
			{"summit/full+options summit/incremental+bridges", "watch/lsstcam-mcm"},
			{"summit/full+options tucson-teststand/full+enable", "watch/comcam-mcm"},
		},
		holds: bridgesAreStarted},
	{name: "P35", asks: "the camera team hears that stage 2 may begin",
		carried: []carrier{{withBridges, "watch/{stage-1-done,stage-2,stage-2-heard}"}},
		holds:   stage2IsHandedOver},
	{name: "P36", asks: "what was stopped is started",
		carried: []carrier{
			{"summit/full*", "watch/{" + notVMS + "}"},
			{"summit/full", vmsHosts + "-start"},
			{"summit/full+options", "watch/{m1m3-crio-vms,m2-crio-vms01}"}, // the cRIOs are done already
			{"summit/incremental", "watch/azar03"},
			{"summit/incremental+vms", "crios/m1m3-crio-vms-start"},
			{"summit/incremental+hosts", "watch/{love01,vms-data} crios/m2-crio-vms01-start"},
		},
		holds: servicesAreStarted},

	// Watch it come up.
	{name: "P37", asks: "all come up in STANDBY, or in their own state",
		carried: []carrier{
			{"*/*", "watch/up"},
			{withBridges, "watch/seen"},
			{"tucson-teststand/full base-teststand/full", "enable/seen"},
			{"summit/full", "crios/{mtm1m3-0,mtm1m3ts-0}-up crios/up"},
			{"summit/incremental+m1m3", "crios/mtm1m3-0-up"},
			{"summit/incremental+vms", "crios/up"},
			{"summit/incremental+hosts", "crios/up"},
			{"summit/recovery", "crios/{mtm1m3-0,mtvms-1,mtvms-2,mtm1m3ts-0} restart/azar03-up"},
		},
		holds: allAreSeenUp},
	{name: "P38", asks: "troubles go to the principals",
		carried: []carrier{{"*/*", "watch/report end/look"}},
		guard:   "the texts of the steps that report, and the principal beside each CSC that is not where it should be",
		tests:   []string{"cmd/csu.TestProcedure", "executor/internal/action.TestAwaitState"},
		holds:   principalsAreTold},
	{name: "P39", asks: "about 30 minutes", carried: []carrier{{"*/*", "watch/up"}}, holds: watchEnds},
	{name: "P40", asks: "what is left broken is told on the channel", carried: []carrier{{"*/*", "watch/report end/look"}}, holds: brokenIsReported},
	{name: "P41", asks: "the enabled list, in groups",
		carried: []carrier{
			{"summit/full* summit/recovery", "enable/{ess,gis-0,watcher,seen}"},
			{enablesAtTestStand, "enable/{ess,watcher,seen}"},
		},
		holds: listIsEnabled},
	{name: "P42", asks: "Nublado can be used again", carried: []carrier{{"summit/full tucson-teststand/full+enable", "end/announce"}}, holds: nubladoIsAnnounced},
	{name: "P43", asks: "each CSC comes back, the Watcher ENABLED",
		carried: []carrier{
			{"*/incremental*", "enable/{watcher,seen}"},
			{"summit/incremental summit/incremental+hosts tucson-teststand/incremental+ess", "enable/ess"},
		},
		guard: "when a run ends early, what csu tells of the CSCs that are still down",
		tests: []string{"executor.TestDown"},
		holds: eachComesBack},

	// Recovery.
	{name: "P44", asks: "clean, then sync",
		carried: []carrier{
			{"*/recovery*", "jobs/{watcher,obssys-scheduler,obssys-scriptqueue," + notObssys + "} deploy/{love-commander,love," + applications + "}"},
			{"summit/recovery*", "jobs/obssys-gis"},
		},
		holds: cleanThenSync},
	{name: "P45", asks: "the cRIO services where the CSC is silent",
		carried: []carrier{{"summit/recovery", "crios/{m1m3-crio-ss,m1m3-crio-vms,m2-crio-vms01,m1m3-crio-ts} crios/{mtm1m3-0,mtvms-1,mtvms-2,mtm1m3ts-0} crios/{mtm1m3-0,mtm1m3ts-0}-{back,seen}"}},
		holds:   silentCRIOsAreStarted},
	{name: "P46", asks: "the CSCs on azar03 are restarted", carried: []carrier{{"summit/recovery", "restart/azar03-{stop,start,up}"}}, holds: azar03IsRestarted},
	{name: "P47", asks: "azar02 is rebooted", carried: []carrier{{"summit/recovery", "reboot/azar02"}}, holds: azar02IsRebooted},

	// Minimal testing.
	{name: "P48", asks: "both telescopes after a recovery",
		carried: []carrier{
			{"tucson-teststand/recovery* base-teststand/recovery*", auxtelTracks + " " + maintTracks},
			{"base-teststand/recovery*", auxtelImages + " " + maintImages},
		},
		holds: sequencesInOrder},
	{name: "P49", asks: "topics, states, and the telescope affected",
		carried: []carrier{
			{"tucson-teststand/incremental* base-teststand/incremental*", "testing/topics"},
			{"tucson-teststand/incremental", "testing/{mtmount-0,electrometer-101}-{enabled,standby} testing/populated " + maintTracks},
			{"tucson-teststand/incremental+ess", "testing/ess-105-{enabled,standby,end} testing/populated"},
			{"tucson-teststand/incremental+camera", auxtelTracks},
			{"base-teststand/incremental", "testing/{mtmount-0,atdome-0}-{enabled,standby} testing/populated " + auxtelTracks + " " + auxtelImages + " " + maintTracks + " " + maintImages},
		},
		holds: changedAreCycled},
	{name: "P50", asks: "the Auxiliary Telescope's sequence",
		carried: []carrier{
			{"tucson-teststand/recovery* base-teststand/recovery* base-teststand/incremental tucson-teststand/incremental+camera", auxtelTracks},
			{"base-teststand/recovery* base-teststand/incremental", auxtelImages},
		},
		holds: auxtelSequence},
	{name: "P51", asks: "the Main Telescope's sequence",
		carried: []carrier{
			{"tucson-teststand/recovery* base-teststand/recovery* base-teststand/incremental tucson-teststand/incremental", maintTracks},
			{"base-teststand/recovery* base-teststand/incremental", maintImages},
		},
		holds: maintelSequence},
	{name: "P52", asks: "at the Tucson test stand no images",
		carried: []carrier{
			{"tucson-teststand/recovery* tucson-teststand/incremental+camera", auxtelTracks},
			{"tucson-teststand/recovery* tucson-teststand/incremental", maintTracks},
		},
		holds: noImages},

	// Announcements and dates.
	{name: "P53", asks: "announced the day before, an hour before, and as it begins",
		carried: []carrier{{"*/*", "begin/announce"}, {"*/* !summit/full !tucson-teststand/full+enable", "end/announce"}},
		guard:   "csu announce, which posts the first two",
		tests:   []string{"cmd/csu.TestScript/announce"},
		holds:   beginningIsAnnounced},
	{name: "P54", asks: "the summit's days",
		guard: "the compiler's warning",
		tests: []string{"cmd/csu.TestDatesAreWarnedAbout", "cmd/csu.TestScript/compile-friday"}},
	{name: "P55", asks: "at the Tucson test stand all back to ENABLED after a recovery",
		carried: []carrier{{"tucson-teststand/recovery", "enable-all/{enabled,seen}"}},
		holds:   allAreEnabled},
}
