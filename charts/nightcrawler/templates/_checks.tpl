{{/* What the schema cannot see: values that do not go together, and names. Each refusal says what to do. */}}
{{- define "nightcrawler.checks" -}}
{{- /* Not by kubeVersion in Chart.yaml: what Helm says then does not tell what to do. */ -}}
{{- if not (semverCompare ">=1.32.0-0" .Capabilities.KubeVersion.Version) -}}
{{- fail (printf "This cluster runs Kubernetes %s, and Nightcrawler needs 1.32 or later: older ones lack what README.md of the chart lists. Upgrade the cluster, or install into another (--kube-context)." .Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- include "nightcrawler.namespaceName" (list . "homeNamespace.name" .Values.homeNamespace.name) -}}
{{- include "nightcrawler.dnsLabel" (list "defaultEnvironment.name" .Values.defaultEnvironment.name) -}}
{{- include "nightcrawler.teams.checks" . -}}
{{- include "nightcrawler.callers.checks" . -}}
{{- if hasKey (.Values.homeNamespace.labels | default dict) "pod-security.kubernetes.io/enforce" -}}
{{- fail "homeNamespace.labels has pod-security.kubernetes.io/enforce, which steps.podSecurity gives: leave it out, and set that." -}}
{{- end -}}
{{- if ne .Values.steps.podSecurity "privileged" -}}
{{- range list "allowHostNamespaces" "allowHostPorts" "allowHostPath" "allowPrivileged" -}}
{{- if get $.Values.settings . -}}
{{- fail (printf "settings.%s is true, and steps.podSecurity is %s: Pods of that level may not have what it allows. Leave it out, or set steps.podSecurity to privileged." . $.Values.steps.podSecurity) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if eq .Values.image.tag "latest" -}}
{{- fail "image.tag is latest: nobody could tell what runs, nor roll it back. Name a version, or leave it empty for that of the chart." -}}
{{- end -}}
{{- include "nightcrawler.words" . -}}
{{- include "what is in the cluster already. Installing takes the rights of a cluster administrator; docs/troubleshooting.md says what can be left out" . -}}
{{- if .Values.ingress.enabled -}}
{{- if not .Values.facade.enabled -}}
{{- fail "ingress.enabled needs facade.enabled: there would be nothing behind the Ingress." -}}
{{- end -}}
{{- if not .Values.ingress.host -}}
{{- fail "ingress.enabled needs ingress.host, the name under which people reach the API: workflows.example.com." -}}
{{- end -}}
{{- if and (eq .Values.callers.mode "none") (not .Values.ingress.authenticated) -}}
{{- fail "ingress.enabled would let everyone who reaches the Ingress run programs in the cluster, for the facade does not authenticate callers. Let the facade know its callers (callers.mode), or let the ingress controller ask (ingress.annotations, for oauth2-proxy say), and then confirm it with ingress.authenticated=true." -}}
{{- end -}}
{{- end -}}
{{- include "nightcrawler.gateway.checks" . -}}
{{- if and (include "nightcrawler.archive.inFile" .) (gt (int (include "nightcrawler.facade.replicas" .)) 1) -}}
{{- fail (printf "facade.replicas is %v, and an archive in SQLite is for one replica alone: leave facade.replicas empty, or name a PostgreSQL database in archive.urlSecret, or set archive.enabled to false." .Values.facade.replicas) -}}
{{- end -}}
{{- if and (include "nightcrawler.keptLogs" .) (not .Values.keptLogs.url) (not (include "nightcrawler.archive.inFile" .)) -}}
{{- fail "keptLogs.url is empty, and the archive is in a database: without its volume there is no place for logs that several replicas share. Name a bucket (s3://bucket/prefix), or set keptLogs.enabled to false." -}}
{{- end -}}
{{- if and .Values.defaultEnvironment.create (not (.Capabilities.APIVersions.Has "nightcrawler.dev/v1alpha1/Environment")) -}}
{{- fail "defaultEnvironment.create needs the custom resources in the cluster, and they are not there yet: install without it, then run helm upgrade with it." -}}
{{- end -}}
{{- if and (or .Values.monitoring.serviceMonitor.enabled .Values.monitoring.prometheusRule.enabled) (not (.Capabilities.APIVersions.Has "monitoring.coreos.com/v1")) -}}
{{- fail "monitoring.* needs the custom resources of Prometheus' operator (monitoring.coreos.com/v1), which the cluster does not have: install that first, or leave monitoring.serviceMonitor.enabled and monitoring.prometheusRule.enabled at false." -}}
{{- end -}}
{{- end -}}

{{- define "nightcrawler.gateway.checks" -}}
{{- if .Values.gateway.enabled -}}
{{- if not .Values.facade.enabled -}}
{{- fail "gateway.enabled needs facade.enabled: there would be nothing behind the route." -}}
{{- end -}}
{{- if not .Values.gateway.parentRefs -}}
{{- fail "gateway.enabled needs gateway.parentRefs, the Gateways that the route is for: [{name: public, namespace: gateways}]." -}}
{{- end -}}
{{- if not .Values.gateway.hostnames -}}
{{- fail "gateway.enabled needs gateway.hostnames, the names under which people reach the API: [workflows.example.com]." -}}
{{- end -}}
{{- if and (eq .Values.callers.mode "none") (not .Values.gateway.authenticated) -}}
{{- fail "gateway.enabled would let everyone who reaches the Gateway run programs in the cluster, for the facade does not authenticate callers. Let the facade know its callers (callers.mode), or let the Gateway ask, and then confirm it with gateway.authenticated=true." -}}
{{- end -}}
{{- if not (.Capabilities.APIVersions.Has "gateway.networking.k8s.io/v1") -}}
{{- fail "gateway.enabled needs the custom resources of the Gateway API (gateway.networking.k8s.io/v1), which the cluster does not have: install them first, or use ingress.enabled." -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Words as people write them: what the programs would refuse at start is refused here. The patterns are those of
nightcrawler_crds/words, which a test checks. */}}
{{- define "nightcrawler.words" -}}
{{- $duration := dict
  "pattern" `^(?:[0-9]+(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)? *(?:ms|[Mm]illiseconds?|[Ss](?:ec(?:ond)?s?)?|m|[Mm]in(?:ute)?s?|[Hh](?:ours?|rs?)?|[Dd](?:ays?)?|[Ww](?:eeks?)?)(?: *[0-9]+(?:\.[0-9]+)? *(?:ms|[Mm]illiseconds?|[Ss](?:ec(?:ond)?s?)?|m|[Mm]in(?:ute)?s?|[Hh](?:ours?|rs?)?|[Dd](?:ays?)?|[Ww](?:eeks?)?))*)$`
  "forms" `"2 hours", "30 seconds", "1 hour 30 minutes", "1h30m", "500ms", "7 days", or a plain number of seconds` -}}
{{- $cpu := dict
  "pattern" `^(?:None|none|NONE|([0-9]+(?:\.[0-9]+)?)(?: *(m|[Cc]ores?|v?CPUs?|v?cpus?))?)$`
  "forms" `cores such as "16 cores", 16 or 0.5, thousandths of one such as "500m", or "None"` -}}
{{- $memory := dict
  "pattern" `^(?:None|none|NONE|([0-9]+(?:\.[0-9]+)?(?:[eE]\+?[0-9]{1,2})?)|([0-9]+(?:\.[0-9]+)?) *(B|[Bb]ytes?|[KkMGgTtPp]|[KkMmGgTtPp](?:[Ii][Bb]?|[Bb])))$`
  "forms" `an amount with its unit such as "64 GB", "1.5 GB" or "500M" (powers of 1000), "64Gi" or "64 GiB" (powers of 1024), a plain number of bytes, or "None"` -}}
{{- $both := .Values.settings -}}
{{- include "nightcrawler.word" (list "settings.defaultCpu" $both.defaultCpu $cpu) -}}
{{- include "nightcrawler.word" (list "settings.defaultMemory" $both.defaultMemory $memory) -}}
{{- range list "defaultTimeout" "defaultRetryDelay" -}}
{{- include "nightcrawler.word" (list (printf "settings.%s" .) (get $both .) $duration) -}}
{{- end -}}
{{- $own := .Values.operator.settings -}}
{{- range list "resyncPeriod" "leaseDuration" "renewDeadline" "retryPeriod" "queueTimeout" "imagePullTimeout" "missingConfigGrace" "missingRightsGrace" "workflowNotFoundGrace" "cancelGrace" "statusWindow" "statusSpacing" "environmentStatusSpacing" "jobCleanupAfter" "failedJobCleanupAfter" "dutyTimeout" "archiveTimeout" -}}
{{- include "nightcrawler.word" (list (printf "operator.settings.%s" .) (get $own .) $duration) -}}
{{- end -}}
{{- include "nightcrawler.word" (list "facade.settings.keepAlive" .Values.facade.settings.keepAlive $duration) -}}
{{- include "nightcrawler.word" (list "archive.keepFor" .Values.archive.keepFor $duration) -}}
{{- include "nightcrawler.word" (list "archive.auditKeepFor" .Values.archive.auditKeepFor $duration) -}}
{{- include "nightcrawler.word" (list "keptLogs.bytes" .Values.keptLogs.bytes $memory) -}}
{{- include "nightcrawler.word" (list "keptLogs.totalBytes" .Values.keptLogs.totalBytes $memory) -}}
{{- range $index, $team := .Values.teams -}}
{{- include "nightcrawler.word" (list (printf "teams[%d].maxTimeout" $index) $team.maxTimeout $duration) -}}
{{- end -}}
{{- range $name, $profile := .Values.computeProfiles.profiles -}}
{{- $where := printf "computeProfiles.profiles.%s" $name -}}
{{- $asked := ($profile | default dict).resources | default dict -}}
{{- include "nightcrawler.word" (list (printf "%s.sharedMemory" $where) ($profile | default dict).sharedMemory $memory) -}}
{{- range list "cpu" "cpuLimit" -}}
{{- include "nightcrawler.word" (list (printf "%s.resources.%s" $where .) (get $asked .) $cpu) -}}
{{- end -}}
{{- range list "memory" "ephemeralStorage" -}}
{{- include "nightcrawler.word" (list (printf "%s.resources.%s" $where .) (get $asked .) $memory) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* One word; (list "settings.defaultCpu" value kind). */}}
{{- define "nightcrawler.word" -}}
{{- $value := toString (default "" (index . 1)) -}}
{{- $kind := index . 2 -}}
{{- if and $value (not (regexMatch $kind.pattern $value)) -}}
{{- fail (printf "%s is %q, which cannot be used. Accepted: %s." (index . 0) $value $kind.forms) -}}
{{- end -}}
{{- end -}}
