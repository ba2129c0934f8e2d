{{/* Who the callers of the facade are: settings, the teams file, and what does not go together. */}}
{{- define "nightcrawler.callers" -}}
{{- with .Values.callers }}
- name: NIGHTCRAWLER_IDENTITY
  value: {{ .mode }}
{{- if eq .mode "oidc" }}
- name: NIGHTCRAWLER_OIDC_ISSUER
  value: {{ .oidc.issuer | quote }}
{{- range $name, $value := dict "OIDC_AUDIENCES" (join "," .oidc.audiences) "OIDC_ALGORITHMS" (join "," .oidc.algorithms) "OIDC_GROUPS_CLAIM" .oidc.groupsClaim "OIDC_ROLES_CLAIM" .oidc.rolesClaim "OIDC_NAME_CLAIMS" (join "," .oidc.nameClaims) }}
{{- if $value }}
- name: NIGHTCRAWLER_{{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
{{- if .oidc.caConfigMapName }}
- name: NIGHTCRAWLER_OIDC_CA_FILE
  value: /etc/nightcrawler/oidc-ca/ca.crt
{{- end }}
{{- end }}
{{- if and (eq .mode "kubernetes") .kubernetes.audiences }}
- name: NIGHTCRAWLER_KUBERNETES_AUDIENCES
  value: {{ join "," .kubernetes.audiences | quote }}
{{- end }}
{{- if ne .mode "none" }}
- name: NIGHTCRAWLER_TEAMS_FILE
  value: /etc/nightcrawler/teams/teams.yaml
{{- end }}
{{- end }}
{{- end -}}

{{/* The namespaces that the facade serves besides the home namespace, separated by commas; "*" is all. */}}
{{- define "nightcrawler.callers.namespaces" -}}
{{- $found := .Values.callers.namespaces -}}
{{- if ne .Values.callers.mode "none" -}}
{{- range .Values.teams -}}
{{- $found = concat $found .namespaces -}}
{{- end -}}
{{- end -}}
{{- if has "*" $found -}}
*
{{- else -}}
{{- without ($found | uniq | sortAlpha) .Values.homeNamespace.name | join "," -}}
{{- end -}}
{{- end -}}

{{/* What the facade's teams file says. */}}
{{- define "nightcrawler.callers.teams" -}}
{{- $home := .Values.homeNamespace.name -}}
{{- $teams := list -}}
{{- $homeless := true -}}
{{- range $team := .Values.teams -}}
{{- if has $home $team.namespaces -}}
{{- $homeless = false -}}
{{- end -}}
{{- $groups := list -}}
{{- range $group := $team.groups -}}
{{- $role := dig "role" "edit" $group -}}
{{- $groups = append $groups (dict "name" $group.name "roles" (dig "roles" list $group) "admin" (eq $role "admin") "readOnly" (eq $role "view")) -}}
{{- end -}}
{{- $teams = append $teams (dict "namespaces" $team.namespaces "groups" $groups) -}}
{{- end -}}
{{- if and $homeless .Values.callers.homeGroups -}}
{{- $groups := list -}}
{{- range .Values.callers.homeGroups -}}
{{- $groups = append $groups (dict "name" .) -}}
{{- end -}}
{{- $teams = append $teams (dict "namespaces" (list $home) "groups" $groups) -}}
{{- end -}}
{{- toYaml (dict "admins" .Values.callers.admins "teams" $teams) -}}
{{- end -}}

{{- define "nightcrawler.callers.checks" -}}
{{- with .Values.callers -}}
{{- if and (ne .mode "none") (not $.Values.facade.enabled) -}}
{{- fail "callers.mode needs facade.enabled: nobody would be asked anything." -}}
{{- end -}}
{{- if eq .mode "oidc" -}}
{{- if not .oidc.issuer -}}
{{- fail "callers.mode is oidc, which needs callers.oidc.issuer, the issuer exactly as tokens have it in iss: https://login.example.com/realms/company." -}}
{{- end -}}
{{- if not .oidc.audiences -}}
{{- fail "callers.mode is oidc, which needs callers.oidc.audiences, the accepted audiences of tokens: usually [CLIENT_ID]. Without it, tokens for any other application would be accepted." -}}
{{- end -}}
{{- else if or .oidc.issuer .oidc.audiences -}}
{{- fail (printf "callers.oidc is set, and callers.mode is %s, so that nothing of it counts: set callers.mode to oidc, or leave it out." .mode) -}}
{{- end -}}
{{- end -}}
{{- range .Values.callers.namespaces -}}
{{- if ne . "*" -}}
{{- include "nightcrawler.namespaceName" (list $ "callers.namespaces" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What the facade may in a namespace that it serves. */}}
{{- define "nightcrawler.facade.rules" -}}
# What the dashboard shows and changes.
- apiGroups: [nightcrawler.dev]
  resources: [workflows, workflowexecutions]
  verbs: [get, list, watch, create, patch, delete]
# What earlier runs did, to repeat and compare it.
- apiGroups: [apps]
  resources: [controllerrevisions]
  verbs: [get, list{{ if include "nightcrawler.archive" . }}, create{{ end }}]  # create: from the archive
# Whether the namespace is there: one that is not looks empty.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get]
# Whether the API server would take a run's volume and its first Jobs and Pods, for dry runs. The policy at the end
# allows the facade to create them in a dry run alone.
- apiGroups: [batch]
  resources: [jobs]
  verbs: [create]
- apiGroups: [""]
  resources: [pods, persistentvolumeclaims]
  verbs: [create]
# Logs of steps.
- apiGroups: [""]
  resources: [pods]
  verbs: [list]
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
{{- if .Values.settings.usage }}
# What steps that run use now.
- apiGroups: [metrics.k8s.io]
  resources: [pods]
  verbs: [list]
{{- end }}
{{- if .Values.settings.maskSecrets }}
# The values of the Secrets that steps use, to mask them in logs.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
{{- end }}
{{- end -}}
