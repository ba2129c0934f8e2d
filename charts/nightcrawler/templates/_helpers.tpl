{{/* The name that all objects begin with. */}}
{{- define "nightcrawler.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels of everything. */}}
{{- define "nightcrawler.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: {{ .Chart.Name }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Labels that tell the Pods of one part; (list $ "operator"). They never change: a Deployment's selector cannot. */}}
{{- define "nightcrawler.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ $root.Chart.Name }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "nightcrawler.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* Settings as variables of the environment; what is left empty keeps the programs' default. */}}
{{- define "nightcrawler.settings" -}}
{{- range $name, $value := . }}
{{- if not (or (kindIs "invalid" $value) (eq (toString $value) "")) }}
- name: NIGHTCRAWLER_{{ snakecase $name | upper }}
  {{- /* Numbers come from files as floats, of which large ones would be printed as 1e+06. */}}
  value: {{ if kindIs "float64" $value }}{{ int64 $value | quote }}{{ else }}{{ toString $value | quote }}{{ end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* How messages are sent; the operator's. */}}
{{- define "nightcrawler.notifications" -}}
{{- with .Values.notifications }}
{{- if .secretName }}
- name: NIGHTCRAWLER_NOTIFICATIONS_FOLDER
  value: /etc/nightcrawler/notifications
{{- end }}
- name: NIGHTCRAWLER_NOTIFICATIONS_NAMESPACED
  value: {{ .namespaced | quote }}
- name: NIGHTCRAWLER_NOTIFICATIONS_ALLOW_INTERNAL
  value: {{ .allowInternal | quote }}
{{- if .caConfigMapName }}
- name: NIGHTCRAWLER_NOTIFICATIONS_CA_FILE
  value: /etc/nightcrawler/notifications-ca/ca.crt
{{- end }}
{{- end }}
{{- include "nightcrawler.notifications.domains" . }}
{{- end -}}

{{/* Where traces go; the operator's. */}}
{{- define "nightcrawler.traces" -}}
{{- if .endpoint }}
- name: NIGHTCRAWLER_OTLP_ENDPOINT
  value: {{ .endpoint | quote }}
{{- end }}
{{- if .headersSecretName }}
- name: NIGHTCRAWLER_OTLP_HEADERS
  valueFrom:
    secretKeyRef: {name: {{ .headersSecretName }}, key: headers}
{{- end }}
{{- if .stepsEndpoint }}
- name: NIGHTCRAWLER_STEPS_OTLP_ENDPOINT
  value: {{ .stepsEndpoint | quote }}
{{- end }}
{{- end -}}

{{/* Whose recipients; both processes', since the facade refuses others at once. */}}
{{- define "nightcrawler.notifications.domains" -}}
{{- with .Values.notifications.domains }}
- name: NIGHTCRAWLER_NOTIFICATION_DOMAINS
  value: {{ join "," . | quote }}
{{- end }}
{{- end -}}

{{/* Who this Pod is: for events, log lines and the leader's name. */}}
{{- define "nightcrawler.identity" -}}
{{- range $name, $path := dict "POD_NAME" "metadata.name" "POD_NAMESPACE" "metadata.namespace" "POD_UID" "metadata.uid" }}
- name: NIGHTCRAWLER_{{ $name }}
  valueFrom: {fieldRef: {fieldPath: {{ $path }}}}
{{- end }}
{{- end -}}

{{/* What the restricted profile asks of a Pod, and more. */}}
{{- define "nightcrawler.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "nightcrawler.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* Where Pods of a part run; (list $ "operator" .Values.operator). */}}
{{- define "nightcrawler.placement" -}}
{{- $root := index . 0 -}}
{{- $values := index . 2 -}}
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- /* A node or a zone that fails takes as few of them with it as can be; one node alone takes all. */}}
topologySpreadConstraints:
{{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- maxSkew: 1
  topologyKey: {{ . }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels: {{- include "nightcrawler.selector" (list $root (index $ 1)) | nindent 6 }}
{{- end }}
{{- end -}}

{{/* Peers of a NetworkPolicy: the release's namespace and those of a value. */}}
{{- define "nightcrawler.peers" -}}
- podSelector: {}
{{- with . }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Whether there is an archive, and whether it is a file in a volume; empty if not. */}}
{{- define "nightcrawler.archive" -}}
{{- if and .Values.facade.enabled .Values.archive.enabled -}}yes{{- end -}}
{{- end -}}

{{- define "nightcrawler.archive.inFile" -}}
{{- if and (include "nightcrawler.archive" .) (not .Values.archive.urlSecret.name) -}}yes{{- end -}}
{{- end -}}

{{/* Whether logs are kept. */}}
{{- define "nightcrawler.keptLogs" -}}
{{- if and (include "nightcrawler.archive" .) .Values.keptLogs.enabled -}}yes{{- end -}}
{{- end -}}

{{- define "nightcrawler.facade.replicas" -}}
{{- .Values.facade.replicas | default (ternary 1 2 (not (empty (include "nightcrawler.archive.inFile" .)))) -}}
{{- end -}}

{{/* What both processes have to know alike: whose runs the facade keeps, and what of them. */}}
{{- define "nightcrawler.kept" -}}
- name: NIGHTCRAWLER_NAMESPACE
  value: {{ .Values.homeNamespace.name }}
{{- with include "nightcrawler.callers.namespaces" . }}
- name: NIGHTCRAWLER_NAMESPACES
  value: {{ . | quote }}
{{- end }}
{{- if include "nightcrawler.archive" . }}
- name: NIGHTCRAWLER_KEEP
  value: archive{{ if include "nightcrawler.keptLogs" . }},logs{{ end }}
{{- end }}
{{- end -}}

{{/* Where the archive is. */}}
{{- define "nightcrawler.archive.url" -}}
- name: NIGHTCRAWLER_ARCHIVE_URL
{{- if .Values.archive.urlSecret.name }}
  valueFrom:
    secretKeyRef: {name: {{ .Values.archive.urlSecret.name }}, key: {{ .Values.archive.urlSecret.key }}}
{{- else }}
  value: sqlite:////var/lib/nightcrawler/archive.db
{{- end }}
{{- end -}}

{{/* Where logs are kept, and how much of them. */}}
{{- define "nightcrawler.keptLogs.settings" -}}
- name: NIGHTCRAWLER_LOG_URL
  value: {{ .Values.keptLogs.url | default "file:///var/lib/nightcrawler/logs" | quote }}
{{- include "nightcrawler.settings" (dict "logBytes" .Values.keptLogs.bytes "logTotalBytes" .Values.keptLogs.totalBytes) }}
{{- end -}}

{{/* The container that makes the archive's tables, or brings them up to date. */}}
{{- define "nightcrawler.archive.migrate" -}}
name: migrate
image: {{ include "nightcrawler.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
command: [nightcrawler-api, migrate]
env:
- name: NIGHTCRAWLER_LOG_FORMAT
  value: {{ .Values.settings.logFormat }}
{{ include "nightcrawler.archive.url" . }}
securityContext: {{- include "nightcrawler.containerSecurity" . | nindent 2 }}
resources: {{- toYaml .Values.facade.resources | nindent 2 }}
{{- end -}}
