{{/* What the schema cannot see of teams: names, and values that do not go together. Each refusal says what to do. */}}
{{- define "nightcrawler.teams.checks" -}}
{{- $home := .Values.homeNamespace.name -}}
{{- $owners := dict -}}
{{- $names := dict -}}
{{- range $index, $team := .Values.teams -}}
{{- $field := printf "teams[%d]" $index -}}
{{- include "nightcrawler.dnsLabel" (list (printf "%s.name" $field) $team.name) -}}
{{- if hasKey $names $team.name -}}
{{- fail (printf "%s.name is %q, and so is that of teams[%d]: name them differently." $field $team.name (int (get $names $team.name))) -}}
{{- end -}}
{{- $_ := set $names $team.name $index -}}
{{- range $namespace := $team.namespaces -}}
{{- $where := printf "%s.namespaces" $field -}}
{{- include "nightcrawler.namespaceName" (list $ $where $namespace) -}}
{{- if hasKey $owners $namespace -}}
{{- fail (printf "%s has %q, which team %s has already: a namespace belongs to one team, once." $where $namespace (get $owners $namespace)) -}}
{{- end -}}
{{- $_ := set $owners $namespace $team.name -}}
{{- if and (eq $.Values.scope "namespace") (ne $namespace $home) -}}
{{- fail (printf "%s has %q, whose workflows nobody would run: with scope namespace the operator runs those of %s alone. Set scope to cluster, or leave the namespace out." $where $namespace $home) -}}
{{- end -}}
{{- end -}}
{{- if and $team.groups (not (and $.Values.rbac.create $.Values.rbac.aggregate)) -}}
{{- fail (printf "%s.groups needs rbac.create and rbac.aggregate: without them Kubernetes' roles view, edit and admin say nothing of workflows. Set both to true, or leave the groups out and bind them yourself." $field) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A name for a namespace of workflows; (list $ "homeNamespace.name" name). */}}
{{- define "nightcrawler.namespaceName" -}}
{{- $root := index . 0 -}}
{{- $field := index . 1 -}}
{{- $name := index . 2 -}}
{{- include "nightcrawler.dnsLabel" (list $field $name) -}}
{{- if eq $name $root.Release.Namespace -}}
{{- fail (printf "%s is %q, the release's own namespace: people who may create workflows there could run programs beside the operator. Choose another name, or install the release into another namespace (--namespace)." $field $name) -}}
{{- end -}}
{{- if hasPrefix "kube-" $name -}}
{{- fail (printf "%s is %q: names that begin with kube- are Kubernetes' own. Choose another." $field $name) -}}
{{- end -}}
{{- end -}}

{{/* (list "homeNamespace.name" name) */}}
{{- define "nightcrawler.dnsLabel" -}}
{{- $name := index . 1 -}}
{{- if or (not (regexMatch "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$" $name)) (gt (len $name) 63) -}}
{{- fail (printf "%s is %q: it must be lower-case letters, digits and, between them, dashes; at most 63 characters." (index . 0) $name) -}}
{{- end -}}
{{- end -}}

{{/* How many runs may be under way in each namespace of a team: vision=20,vision-nightly=20. */}}
{{- define "nightcrawler.teams.maxRunning" -}}
{{- $limits := list -}}
{{- range $team := .Values.teams -}}
{{- if $team.maxRunning -}}
{{- range $namespace := $team.namespaces -}}
{{- $limits = append $limits (printf "%s=%d" $namespace (int64 $team.maxRunning)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- join "," $limits -}}
{{- end -}}

{{/* Labels of what belongs to a team; (list $ team). */}}
{{- define "nightcrawler.teams.labels" -}}
{{- include "nightcrawler.labels" (index . 0) }}
nightcrawler.dev/team: {{ (index . 1).name }}
{{- end -}}

{{/* The name of what belongs to a team; (list $ team). */}}
{{- define "nightcrawler.teams.name" -}}
{{- printf "%s-%s" (include "nightcrawler.fullname" (index . 0)) (index . 1).name -}}
{{- end -}}

{{/* CEL for the seconds of a duration, in the units of nightcrawler_crds/words; the argument is CEL for it. */}}
{{- define "nightcrawler.cel.seconds" -}}
type({{ . }}) != string ? double({{ . }}) :
string({{ . }}).findAll('[0-9]+(?:[.][0-9]+)? *[A-Za-z]*').map(part,
  double(part.find('[0-9]+(?:[.][0-9]+)?')) * (
    part.matches('[0-9] *(ms|[Mm]illi)') ? 0.001 :
    part.matches('[0-9] *[Mm]') ? 60.0 :
    part.matches('[0-9] *[Hh]') ? 3600.0 :
    part.matches('[0-9] *[Dd]') ? 86400.0 :
    part.matches('[0-9] *[Ww]') ? 604800.0 : 1.0)).sum()
{{- end -}}
