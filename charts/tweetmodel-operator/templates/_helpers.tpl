{{- /* Leaves room for "-uninstall" in the 63 characters of a Job's name. A release name has at most 53 characters. */ -}}
{{- define "tweetmodel.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{ .Release.Name | trunc 53 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 53 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{- define "tweetmodel.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "tweetmodel.labels" -}}
{{ include "tweetmodel.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* Returns the reference of an image. Argument: a list of the root context and the values of the image. */ -}}
{{- define "tweetmodel.image" -}}
{{- $root := index . 0 -}}
{{- with index . 1 -}}
{{ .repository }}:{{ .tag | default $root.Chart.AppVersion }}{{ with .digest }}@{{ . }}{{ end }}
{{- end -}}
{{- end -}}

{{- define "tweetmodel.tlsSecret" -}}
{{ .Values.progress.tls.existingSecret | default (printf "%s-tls" (include "tweetmodel.name" .)) }}
{{- end -}}
