{{/* What another release, or somebody without Helm, has made already. Each refusal says what to do.

Only a cluster can tell: without one, as in helm template, nothing is taken. Looking takes rights, and a template cannot
say anything if they are missing; so the name of this one does, which is in what Helm says then. */}}
{{- define "what is in the cluster already. Installing takes the rights of a cluster administrator; docs/troubleshooting.md says what can be left out" -}}
{{- if .Values.homeNamespace.create -}}
{{- include "nightcrawler.taken.namespace" (list . "homeNamespace.name" .Values.homeNamespace.name "homeNamespace.create" (lookup "v1" "Namespace" "" .Values.homeNamespace.name)) -}}
{{- end -}}
{{- range $index, $team := .Values.teams -}}
{{- range $namespace := $team.namespaces -}}
{{- if and (dig "create" true $team) (ne $namespace $.Values.homeNamespace.name) -}}
{{- $field := printf "teams[%d]" $index -}}
{{- include "nightcrawler.taken.namespace" (list $ (printf "%s.namespaces" $field) $namespace (printf "%s.create" $field) (lookup "v1" "Namespace" "" $namespace)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if .Values.crds.install -}}
{{- with include "nightcrawler.maker" (list . (lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" "workflows.nightcrawler.dev")) -}}
{{- fail (printf "crds.install: the custom resources are in the cluster already, installed by %s. Set crds.install to false to use them as they are, or hand them over to this release as docs/installing.md says." .) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.defaultEnvironment.create (.Capabilities.APIVersions.Has "nightcrawler.dev/v1alpha1/Environment") -}}
{{- with include "nightcrawler.maker" (list . (lookup "nightcrawler.dev/v1alpha1" "Environment" "" .Values.defaultEnvironment.name)) -}}
{{- fail (printf "defaultEnvironment.name is %s, and there is such an Environment already, made by %s. Choose another name, or set defaultEnvironment.create to false." $.Values.defaultEnvironment.name .) -}}
{{- end -}}
{{- end -}}
{{- if .Values.rbac.create -}}
{{- include "nightcrawler.taken.work" (list . (lookup "rbac.authorization.k8s.io/v1" "ClusterRole" "" "")) -}}
{{- end -}}
{{- if .Values.priorityClasses.create -}}
{{- $name := printf "%s-low" (include "nightcrawler.fullname" .) -}}
{{- with include "nightcrawler.maker" (list . (lookup "scheduling.k8s.io/v1" "PriorityClass" "" $name)) -}}
{{- fail (printf "priorityClasses.create: there is a PriorityClass %s already, made by %s. Install this release under another name, set fullnameOverride, or leave them out." $name .) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* That a namespace which the chart is to make is not there; (list $ "homeNamespace.name" name "homeNamespace.create" namespace). */}}
{{- define "nightcrawler.taken.namespace" -}}
{{- if include "nightcrawler.maker" (list (index . 0) (index . 4)) -}}
{{- fail (printf "%s: there is a namespace %s already, which this release did not make. Set %s to false to use it as it is, or choose another name." (index . 1) (index . 2) (index . 3)) -}}
{{- end -}}
{{- end -}}

{{/* That no other operator runs the same workflows, and that nobody has this name; (list $ "all ClusterRoles"). The role of
an operator for the whole cluster has rights to Jobs, and that of an operator for one namespace has not. */}}
{{- define "nightcrawler.taken.work" -}}
{{- $root := index . 0 -}}
{{- $ours := printf "%s-operator" (include "nightcrawler.fullname" $root) -}}
{{- range $role := (index . 1).items -}}
{{- with include "nightcrawler.maker" (list $root $role) -}}
{{- if eq $role.metadata.name $ours -}}
{{- fail (printf "The name %s is taken by %s: install this release under another name, or set fullnameOverride." (trimSuffix "-operator" $ours) .) -}}
{{- end -}}
{{- $isOperator := and (eq (dig "labels" "app.kubernetes.io/part-of" "" $role.metadata) $root.Chart.Name) (hasSuffix "-operator" $role.metadata.name) -}}
{{- $isOfAll := contains "\"jobs\"" (toJson $role.rules) -}}
{{- if and $isOperator $isOfAll -}}
{{- fail (printf "The operator of %s runs the workflows of the whole cluster already, and two would do the same work. Upgrade that release, or give both scope namespace and a homeNamespace of its own." .) -}}
{{- end -}}
{{- if and $isOperator (eq $root.Values.scope "cluster") -}}
{{- fail (printf "With scope cluster this operator would run the workflows of %s too, which has its own. Set scope to namespace, or uninstall that release." .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Who made an object; empty if this release did, or if there is none. (list $ object) */}}
{{- define "nightcrawler.maker" -}}
{{- $release := (index . 0).Release -}}
{{- with (index . 1) -}}
{{- $marks := .metadata.annotations | default dict -}}
{{- $name := get $marks "meta.helm.sh/release-name" -}}
{{- $namespace := get $marks "meta.helm.sh/release-namespace" -}}
{{- if not $name -}}
somebody without Helm
{{- else if not (and (eq $name $release.Name) (eq $namespace $release.Namespace)) -}}
the release {{ $name }} in namespace {{ $namespace }}
{{- end -}}
{{- end -}}
{{- end -}}
