{{- define "musubi.name" -}}
{{- if contains "musubi" .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}{{ else }}{{ printf "%s-musubi" (.Release.Name | trunc 45) }}{{ end }}
{{- end }}

{{- define "musubi.selector" -}}
app.kubernetes.io/name: musubi-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "musubi.labels" -}}
{{ include "musubi.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "musubi.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- define "musubi.dns" -}}
- ports:
    - { protocol: UDP, port: 53 }
    - { protocol: TCP, port: 53 }
{{- end }}
